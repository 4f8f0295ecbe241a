package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"
)

// stirred is how many files come and go, and stirredSize how large they are at most.
const (
	stirred     = 40
	stirredSize = 2 << 20
)

// stir makes, grows, cuts, replaces and removes files of a new folder until it is stopped: what
// a backup meets that reads while an application works.
func stir(every time.Duration, folder string) error {
	if err := os.Mkdir(folder, 0o755); err != nil {
		return err
	}
	content := make([]byte, stirredSize)
	for {
		name := filepath.Join(folder, fmt.Sprintf("%02d", rand.IntN(stirred)))
		size := rand.Int64N(stirredSize)
		var err error
		switch rand.IntN(4) {
		case 0:
			err = os.Remove(name)
		case 1:
			err = os.Truncate(name, size) // cuts or grows it
		case 2:
			err = os.WriteFile(name, content[:size], 0o644)
		case 3:
			err = os.WriteFile(name+".new", content[:size], 0o644)
			if err == nil {
				err = os.Rename(name+".new", name)
			}
		}
		if err != nil && !os.IsNotExist(err) {
			return err
		}
		time.Sleep(every)
	}
}
