package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

const freezePoll = 5 * time.Millisecond

// control is a file outside the volume by which freeze, thaw and a writer talk about path.
func control(path, what string) string {
	return filepath.Join(os.TempDir(), filepath.Base(path)+"."+what)
}

// freeze asks the writers of paths to finish what they are writing, and waits until they have: the
// pre hook of a backup. When one does not, all go on.
func freeze(paths []string, patience time.Duration) error {
	for _, path := range paths {
		if err := os.WriteFile(control(path, "freeze"), nil, 0o600); err != nil {
			return err
		}
	}
	for _, path := range paths {
		if err := waitFor(control(path, "frozen"), patience); err != nil {
			return errors.Join(fmt.Errorf("the writer of %s did not stop: %w", path, err), thaw(paths))
		}
	}
	return nil
}

// thaw lets the writers go on: the post hook.
func thaw(paths []string) error {
	var problems error
	for _, path := range paths {
		problems = errors.Join(problems, os.Remove(control(path, "freeze")))
	}
	return problems
}

// pauseIfAsked is called by a writer between two states that are whole.
func pauseIfAsked(file *os.File) error {
	request, answer := control(file.Name(), "freeze"), control(file.Name(), "frozen")
	if _, err := os.Lstat(request); err != nil {
		return nil
	}
	if err := errors.Join(file.Sync(), os.WriteFile(answer, nil, 0o600)); err != nil {
		return err
	}
	for {
		if _, err := os.Lstat(request); err != nil {
			return os.Remove(answer)
		}
		time.Sleep(freezePoll)
	}
}

// start runs a writer in the background, until the container ends, and waits for the file (its last
// argument) that it writes. A command with a slash is another program, any other one of this.
func start(arguments []string, patience time.Duration) error {
	if len(arguments) < 2 {
		return errors.New("start needs a command and its file")
	}
	writer := exec.Command("/proc/self/exe", arguments...)
	if filepath.IsAbs(arguments[0]) {
		writer = exec.Command(arguments[0], arguments[1:]...)
	}
	writer.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	path := arguments[len(arguments)-1]
	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("%s is there already", path)
	}
	if err := writer.Start(); err != nil {
		return err
	}
	return waitFor(path, patience)
}

func waitFor(path string, patience time.Duration) error {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(freezePoll) {
		if _, err := os.Lstat(path); err == nil {
			return nil
		}
	}
	return fmt.Errorf("%s did not appear within %s", path, patience)
}
