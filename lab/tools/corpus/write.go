package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// write makes the items below root. It refuses a folder that already holds a corpus, so
// that two corpora never blend. Folders get their modes and times last, deepest first,
// because writing into a folder changes its time and may need its permission.
func write(items []Item, root string) error {
	if root == "" {
		return fmt.Errorf("the folder to write to is missing")
	}
	if _, err := os.Lstat(filepath.Join(root, identityFile)); err == nil {
		return fmt.Errorf("%s already holds a corpus", root)
	}
	for _, item := range items {
		if err := create(item, root); err != nil {
			return err
		}
	}
	for i := len(items) - 1; i >= 0; i-- {
		if err := finish(items[i], filepath.Join(root, items[i].Path)); err != nil {
			return err
		}
	}
	unix.Sync()
	return nil
}

func create(item Item, root string) error {
	path := filepath.Join(root, item.Path)
	switch {
	case item.Type == "directory":
		return os.Mkdir(path, 0o700)
	case item.Type == "symlink":
		return os.Symlink(item.Target, path)
	case item.Twin != "":
		return os.Link(filepath.Join(root, item.Twin), path)
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if _, err := io.Copy(file, item.content()); err != nil {
		file.Close()
		return err
	}
	return file.Close()
}

func finish(item Item, path string) error {
	if err := os.Lchown(path, int(item.UID), int(item.GID)); err != nil {
		return err
	}
	if item.Type != "symlink" {
		// After chown, which clears the set-id bits.
		if err := unix.Chmod(path, item.mode); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	stamp := unix.NsecToTimespec(item.MTime)
	err := unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{stamp, stamp}, unix.AT_SYMLINK_NOFOLLOW)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}
