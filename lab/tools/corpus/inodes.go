package main

import (
	"errors"
	"fmt"
	"math/big"

	"golang.org/x/sys/unix"
)

// Time is a time as a file system has it: its nanoseconds since 1970 need more than 64 bits.
type Time struct{ seconds, nanoseconds int64 }

// at is a time by its nanoseconds since 1970.
func at(ns int64) Time {
	stamp := unix.NsecToTimespec(ns)
	return Time{stamp.Sec, stamp.Nsec}
}

// MarshalJSON writes the nanoseconds since 1970.
func (t Time) MarshalJSON() ([]byte, error) {
	ns := new(big.Int).Mul(big.NewInt(t.seconds), big.NewInt(second))
	return []byte(ns.Add(ns, big.NewInt(t.nanoseconds)).String()), nil
}

// device is the kind of a device node and its two numbers.
func device(block bool, number uint64) string {
	kind := "character"
	if block {
		kind = "block"
	}
	return fmt.Sprintf("%s %d:%d", kind, unix.Major(number), unix.Minor(number))
}

// Flags of an inode that its owner may have set; the others belong to the file system, and what
// cannot be changed any more could not be removed either.
const (
	noDump       = 0x40
	noAccessTime = 0x80
)

// letters are the flags as chattr has them.
func letters(flags int) string {
	text := ""
	if flags&noAccessTime != 0 {
		text += "A"
	}
	if flags&noDump != 0 {
		text += "d"
	}
	return text
}

// flagsOf is empty on a file system that has none.
func flagsOf(path string) (string, error) {
	descriptor, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	defer unix.Close(descriptor)
	flags, err := unix.IoctlGetInt(descriptor, unix.FS_IOC_GETFLAGS)
	if errors.Is(err, unix.ENOTTY) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EINVAL) {
		return "", nil
	}
	return letters(flags), err
}

func setFlags(path string, flags int) error {
	descriptor, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(descriptor)
	known, err := unix.IoctlGetInt(descriptor, unix.FS_IOC_GETFLAGS)
	if err != nil {
		return err
	}
	return unix.IoctlSetPointerInt(descriptor, unix.FS_IOC_SETFLAGS, known|flags)
}
