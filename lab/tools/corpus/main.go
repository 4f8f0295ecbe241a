// Command corpus writes the test data of a scenario and says what a folder really holds.
//
//	corpus plan  -seed S [-torture]      the manifest that write must lead to, without writing
//	corpus write -seed S [-torture] DIR  the files themselves
//	corpus change -seed S DIR            what happens to it between two backups; plan -changed says what comes of it
//	corpus read  DIR                     the manifest of what is there now
//	corpus fill  -seed S -bytes N DIR    ten files of fresh random data, N bytes in all
//	corpus touch FILE                    a small file that no corpus has
//	corpus strain -bytes N               uses N bytes of memory and its CPUs until stopped
//	corpus remove PATH                   removes a file or folder with all that is in it
//	corpus size  PATTERN…                how many bytes the files below each folder hold, as JSON
//	corpus hold                          sleeps until stopped: the main process of a workload
//	corpus probe DIR                     exits 0 when DIR's identity file can be read
//	corpus append  -seed S FILE          writes a journal until stopped
//	corpus rewrite -seed S FILE          writes a ledger until stopped
//	corpus stir    DIR                   files that come, change and go, until stopped
//	corpus journal -seed S FILE          what a journal holds, as JSON
//	corpus ledger  -seed S FILE          what a ledger holds, as JSON
//	corpus start   COMMAND … FILE        runs a writer in the background
//	corpus freeze  FILE…                 stops the writers of ledgers, for a hook of a backup
//	corpus thaw    FILE…                 lets them go on
//
// A manifest is one JSON object a line, and a last line that counts the entries and bytes, so that
// a cut-off output cannot pass for a small one.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// identityFile is written last and first looked for: a volume without it holds no corpus.
const identityFile = "identity.txt"

// patience is how long start and freeze wait for a writer.
const patience = 20 * time.Second

func main() {
	if len(os.Args) < 2 {
		fail(2, "a command is missing; they stand at the head of main.go")
	}
	if err := run(os.Args[1], os.Args[2:]); err != nil {
		fail(1, err.Error())
	}
}

func run(command string, arguments []string) error {
	flags := flag.NewFlagSet(command, flag.ExitOnError)
	var made recipe
	flags.StringVar(&made.seed, "seed", "", "text that all contents are derived from")
	flags.BoolVar(&made.torture, "torture", false, "the torture corpus instead of the standard one")
	flags.IntVar(&made.many, "many", 10_000, "small files of the torture corpus")
	flags.Int64Var(&made.sparse, "sparse", 256<<20, "bytes of its sparse file")
	flags.IntVar(&made.entries, "entries", 0, "files in one folder of it")
	flags.Int64Var(&made.file, "file", 0, "bytes of one more file of it")
	flags.BoolVar(&made.changed, "changed", false, "the corpus after its change")
	size := flags.Int64("bytes", 0, "how much fill writes and strain uses")
	within := flags.Duration("within", patience, "how long freeze waits for the writer")
	every := flags.Duration("every", 10*time.Millisecond, "pause between two writes of append, rewrite and stir")
	if command == "start" { // its flags are the writer's
		return start(arguments, patience)
	}
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	switch command {
	case "plan":
		out := newPrinter(os.Stdout)
		for _, entry := range planned(made.items()) {
			if err := out.print(entry); err != nil {
				return err
			}
		}
		return out.close()
	case "write":
		return write(made.items(), flags.Arg(0))
	case "change":
		revised := changed(made.seed, made.before())
		return revised.apply(flags.Arg(0))
	case "fill":
		return fill(made.seed, *size, flags.Arg(0))
	case "strain":
		return strain(*size)
	case "read":
		out := newPrinter(os.Stdout)
		if err := read(flags.Arg(0), out.print); err != nil {
			return err
		}
		return out.close()
	case "touch":
		return os.WriteFile(flags.Arg(0), []byte("not of the corpus\n"), 0o644)
	case "remove":
		return remove(flags.Arg(0))
	case "size":
		return printSizes(flags.Args(), os.Stdout)
	case "hold":
		hold()
		return nil
	case "append":
		return appendRecords(made.seed, *every, flags.Arg(0))
	case "rewrite":
		return rewrite(made.seed, *every, flags.Arg(0))
	case "stir":
		return stir(*every, flags.Arg(0))
	case "journal":
		return printState(readJournal(made.seed, flags.Arg(0)))
	case "ledger":
		return printState(readLedger(made.seed, flags.Arg(0)))
	case "freeze":
		return freeze(flags.Args(), *within)
	case "thaw":
		return thaw(flags.Args())
	case "probe":
		content, err := os.ReadFile(filepath.Join(flags.Arg(0), identityFile))
		if err == nil && len(content) == 0 {
			err = fmt.Errorf("%s is empty", identityFile)
		}
		return err
	}
	return fmt.Errorf("unknown command %q", command)
}

func hold() {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM)
	<-stop
}

func fail(code int, message string) {
	fmt.Fprintln(os.Stderr, "corpus: "+message)
	os.Exit(code)
}
