package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

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
		if err := create(item, root); err != nil && !refused(item, err) {
			return err
		}
	}
	for i := len(items) - 1; i >= 0; i-- {
		path := filepath.Join(root, items[i].Path)
		err := finish(items[i], path)
		if refused(items[i], err) {
			err = os.RemoveAll(path)
		}
		if err != nil {
			return err
		}
	}
	unix.Sync()
	return nil
}

// refused says whether an item is missing because the container or the file system may be without it.
func refused(item Item, err error) bool {
	return err != nil && strings.HasPrefix(item.Path, optional+"/")
}

func create(item Item, root string) error {
	path := filepath.Join(root, item.Path)
	switch {
	case item.Twin != "":
		return os.Link(filepath.Join(root, item.Twin), path)
	case item.Path == ".":
		return nil
	case item.Type == "directory":
		return os.Mkdir(path, 0o700)
	case item.Type == "symlink":
		return os.Symlink(item.Target, path)
	case item.Type == "fifo":
		return unix.Mkfifo(path, 0o600)
	case item.Type == "socket":
		return unix.Mknod(path, unix.S_IFSOCK|0o600, 0)
	case item.Type == "device":
		kind := uint32(unix.S_IFCHR)
		if strings.HasPrefix(item.Device, "block") {
			kind = unix.S_IFBLK
		}
		return unix.Mknod(path, kind|0o600, item.number)
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if item.sparse {
		err = writeSparse(file, item.content())
	} else {
		_, err = io.Copy(file, item.content())
	}
	return errors.Join(err, file.Close())
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
	// After chmod, which would change the mask of an access list, and after chown, which clears capabilities.
	for name, value := range item.values {
		if err := unix.Lsetxattr(path, name, []byte(value), 0); err != nil {
			return fmt.Errorf("%s: attribute %s: %w", path, name, err)
		}
	}
	if item.flags != 0 {
		if err := setFlags(path, item.flags); err != nil {
			return fmt.Errorf("%s: flags: %w", path, err)
		}
	}
	stamp := unix.Timespec{Sec: item.MTime.seconds, Nsec: item.MTime.nanoseconds}
	err := unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{stamp, stamp}, unix.AT_SYMLINK_NOFOLLOW)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// writeSparse writes content and leaves a hole for every block of zeros.
func writeSparse(file *os.File, content io.Reader) error {
	block, none := make([]byte, 64*kibibyte), make([]byte, 64*kibibyte)
	for offset := int64(0); ; {
		n, err := io.ReadFull(content, block)
		if n > 0 && !bytes.Equal(block[:n], none[:n]) {
			if _, err := file.WriteAt(block[:n], offset); err != nil {
				return err
			}
		}
		offset += int64(n)
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return file.Truncate(offset) // a hole at the end has no last block
		}
		if err != nil {
			return err
		}
	}
}
