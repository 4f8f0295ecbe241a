package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"time"
)

// A journal is a file that only grows: numbered records, each on disk before the next is written,
// each with a digest over the seed, its number and its time. Its last record says up to when the
// data goes, so the loss of a restore is counted from the writer's own records.
//
// A ledger is a file that changes in place: all its blocks carry the number of one generation,
// unless somebody read it while it was being written.

const (
	ledgerBlocks    = 512
	ledgerBlockSize = 64 << 10
	ledgerHeader    = 12 // digits of the generation
)

// journalState is what a journal holds.
type journalState struct {
	Records int64 `json:"records"`
	First   int64 `json:"first"`
	Last    int64 `json:"last"`
	LastNS  int64 `json:"last_ns"`
	Gaps    int64 `json:"gaps"`  // records whose number does not follow the one before
	Wrong   int64 `json:"wrong"` // whole records with another digest
	Torn    int64 `json:"torn"`  // bytes of a record that is cut off
}

// ledgerState is what a ledger holds.
type ledgerState struct {
	Blocks      int            `json:"blocks"`
	Generations map[string]int `json:"generations"` // blocks of each
	Damaged     int            `json:"damaged"`     // blocks that no generation has written
}

func record(seed string, number, stamp int64) []byte {
	digest := sha256.Sum256(fmt.Appendf(nil, "%s %d %d", seed, number, stamp))
	return fmt.Appendf(nil, "%012d %019d %x\n", number, stamp, digest)
}

// appendRecords writes to a new journal until it is stopped.
func appendRecords(seed string, every time.Duration, path string) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer file.Close()
	for number := int64(1); ; number++ {
		if _, err := file.Write(record(seed, number, time.Now().UnixNano())); err != nil {
			return err
		}
		if err := file.Sync(); err != nil {
			return err
		}
		time.Sleep(every)
	}
}

func readJournal(seed, path string) (journalState, error) {
	var state journalState
	file, err := os.Open(path)
	if err != nil {
		return state, err
	}
	defer file.Close()
	lines := bufio.NewReader(file)
	for {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF {
			state.Torn = int64(len(line))
			return state, nil
		}
		if err != nil {
			return state, err
		}
		var number, stamp int64
		fmt.Sscanf(string(line), "%d %d", &number, &stamp)
		if !bytes.Equal(line, record(seed, number, stamp)) {
			state.Wrong++
			continue
		}
		if state.Records == 0 {
			state.First = number
		} else if number != state.Last+1 {
			state.Gaps++
		}
		state.Records++
		state.Last, state.LastNS = number, stamp
	}
}

// rewrite makes a ledger and writes one generation after the other over it until it is stopped.
func rewrite(seed string, every time.Duration, path string) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o644)
	if err != nil {
		return err
	}
	defer file.Close()
	for block := range int64(ledgerBlocks) {
		if _, err := file.WriteAt(filler(seed, block), block*ledgerBlockSize); err != nil {
			return err
		}
	}
	for generation := int64(1); ; generation++ {
		header := fmt.Appendf(nil, "%0*d", ledgerHeader, generation)
		for block := range int64(ledgerBlocks) {
			if _, err := file.WriteAt(header, block*ledgerBlockSize); err != nil {
				return err
			}
		}
		if err := pauseIfAsked(file); err != nil {
			return err
		}
		time.Sleep(every)
	}
}

// filler is a whole block of a ledger, its header still zeros.
func filler(seed string, block int64) []byte {
	content := make([]byte, ledgerBlockSize)
	key := sha256.Sum256(fmt.Appendf(nil, "%s ledger %d", seed, block))
	rand.NewChaCha8(key).Read(content[ledgerHeader:])
	return content
}

func readLedger(seed, path string) (ledgerState, error) {
	state := ledgerState{Generations: map[string]int{}}
	file, err := os.Open(path)
	if err != nil {
		return state, err
	}
	defer file.Close()
	found := make([]byte, ledgerBlockSize)
	for block := int64(0); ; block++ {
		n, err := io.ReadFull(file, found)
		if err == io.EOF {
			return state, nil
		}
		if err != nil && err != io.ErrUnexpectedEOF {
			return state, err
		}
		state.Blocks++
		header := min(n, ledgerHeader)
		if bytes.Equal(found[header:n], filler(seed, block)[ledgerHeader:]) {
			state.Generations[string(found[:header])]++
		} else {
			state.Damaged++
		}
	}
}

func printState[T any](state T, err error) error {
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(state)
}
