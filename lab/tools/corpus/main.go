// Command corpus writes the test data of a scenario and says what a folder really holds.
//
//	corpus plan  -seed S              the manifest that write must lead to, without writing
//	corpus write -seed S DIR          the files themselves
//	corpus read  DIR                  the manifest of what is there now
//	corpus touch FILE                 a small file that no corpus has
//	corpus hold                       sleeps until stopped: the main process of a workload
//	corpus probe DIR                  exits 0 when DIR's identity file can be read
//
// A manifest is one JSON object a line, sorted by path, and a last line that counts the
// entries and bytes, so that a cut-off output cannot pass for a small one.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

// identityFile is written last and first looked for: a volume without it holds no corpus.
const identityFile = "identity.txt"

func main() {
	if len(os.Args) < 2 {
		fail(2, "a command is missing: plan, write, read, touch, hold or probe")
	}
	if err := run(os.Args[1], os.Args[2:]); err != nil {
		fail(1, err.Error())
	}
}

func run(command string, arguments []string) error {
	flags := flag.NewFlagSet(command, flag.ExitOnError)
	seed := flags.String("seed", "", "text that all contents are derived from")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	switch command {
	case "plan":
		return printManifest(os.Stdout, planned(standard(*seed)))
	case "write":
		return write(standard(*seed), flags.Arg(0))
	case "read":
		entries, err := read(flags.Arg(0))
		if err != nil {
			return err
		}
		return printManifest(os.Stdout, entries)
	case "touch":
		return os.WriteFile(flags.Arg(0), []byte("not of the corpus\n"), 0o644)
	case "hold":
		hold()
		return nil
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
