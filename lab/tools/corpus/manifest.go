package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"unicode/utf8"
)

// Entry is one path of a corpus: what a restore has to give back. Path, target and names of
// attributes have '%' and bytes that are not UTF-8 percent-encoded.
type Entry struct {
	Path   string            `json:"path"`               // relative; "." is the volume's root
	Type   string            `json:"type"`               // file, directory, symlink, fifo, socket or device
	Mode   string            `json:"mode"`               // permission, set-id and sticky bits, octal
	UID    uint32            `json:"uid"`                //
	GID    uint32            `json:"gid"`                //
	MTime  Time              `json:"mtime_ns"`           // nanoseconds since 1970
	Size   int64             `json:"size"`               // bytes; 0 unless a file
	Disk   int64             `json:"allocated"`          // bytes on disk; planned: those that are no hole
	SHA256 string            `json:"sha256,omitempty"`   // files only
	Target string            `json:"target,omitempty"`   // symlinks only
	Twin   string            `json:"hardlink,omitempty"` // first path, in order, of the same inode
	Links  uint64            `json:"links,omitempty"`    // names of the inode; not of a directory
	XAttrs map[string]string `json:"xattrs,omitempty"`   // SHA-256 of the value by name
	Device string            `json:"device,omitempty"`   // kind and numbers of a device node
	Flags  string            `json:"flags,omitempty"`    // those of chattr; files and directories only
	Before string            `json:"before,omitempty"`   // planned: SHA-256 until a change that only the change time shows
}

type trailer struct {
	Entries int   `json:"entries"`
	Bytes   int64 `json:"bytes"`
}

// printer writes entries as they come, and the count at the end.
type printer struct {
	out     *bufio.Writer
	encoder *json.Encoder
	end     trailer
}

func newPrinter(to io.Writer) *printer {
	p := &printer{out: bufio.NewWriter(to)}
	p.encoder = json.NewEncoder(p.out)
	p.encoder.SetEscapeHTML(false)
	return p
}

func (p *printer) print(entry Entry) error {
	p.end.Entries++
	p.end.Bytes += entry.Size
	return p.encoder.Encode(entry)
}

func (p *printer) close() error {
	if err := p.encoder.Encode(p.end); err != nil {
		return err
	}
	return p.out.Flush()
}

func escape(path string) string {
	if utf8.ValidString(path) && !strings.Contains(path, "%") {
		return path
	}
	var out strings.Builder
	for len(path) > 0 {
		r, width := utf8.DecodeRuneInString(path)
		if r == '%' || (r == utf8.RuneError && width == 1) {
			fmt.Fprintf(&out, "%%%02X", path[0])
		} else {
			out.WriteString(path[:width])
		}
		path = path[width:]
	}
	return out.String()
}

// inode tells files of several names apart.
type inode struct{ device, number uint64 }

// read walks root without following links and hands over each entry: its memory grows with the
// number of hard links, not with that of files or bytes. An unreadable entry is an error, never a gap.
func read(root string, emit func(Entry) error) error {
	if root == "" {
		return fmt.Errorf("the folder to read is missing")
	}
	firstName := map[inode]string{}
	return filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		entry, id, err := describe(path, escape(relative))
		if err != nil {
			return err
		}
		if entry.Links > 1 {
			if twin, seen := firstName[id]; seen {
				entry.Twin = twin
			} else {
				firstName[id] = entry.Path
			}
		}
		return emit(entry)
	})
}

func describe(path, name string) (Entry, inode, error) {
	var status syscall.Stat_t
	if err := syscall.Lstat(path, &status); err != nil {
		return Entry{}, inode{}, fmt.Errorf("%s: %w", path, err)
	}
	entry := Entry{
		Path: name, UID: status.Uid, GID: status.Gid, MTime: Time{status.Mtim.Sec, status.Mtim.Nsec},
		Mode: fmt.Sprintf("%04o", status.Mode&0o7777), Type: "device", Links: status.Nlink,
	}
	var err error
	switch status.Mode & syscall.S_IFMT {
	case syscall.S_IFREG:
		entry.Type, entry.Size, entry.Disk = "file", status.Size, status.Blocks*512
		entry.SHA256, err = digest(path)
	case syscall.S_IFDIR:
		entry.Type, entry.Links = "directory", 0
	case syscall.S_IFLNK:
		entry.Type = "symlink"
		entry.Target, err = os.Readlink(path)
		entry.Target = escape(entry.Target)
	case syscall.S_IFIFO:
		entry.Type = "fifo"
	case syscall.S_IFSOCK:
		entry.Type = "socket"
	default:
		entry.Device = device(status.Mode&syscall.S_IFMT == syscall.S_IFBLK, status.Rdev)
	}
	if err == nil && (entry.Type == "file" || entry.Type == "directory") {
		entry.Flags, err = flagsOf(path)
	}
	if err == nil {
		entry.XAttrs, err = attributes(path)
	}
	return entry, inode{status.Dev, status.Ino}, err
}

func digest(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	return digestOf(file)
}

// buffer is the program's only large piece of memory: one thing is hashed at a time.
var buffer = make([]byte, 1<<20)

// digestOf is the SHA-256 of all that from gives.
func digestOf(from io.Reader) (string, error) {
	hash := sha256.New()
	// The reader's own WriterTo would take a smaller buffer.
	if _, err := io.CopyBuffer(hash, struct{ io.Reader }{from}, buffer); err != nil {
		return "", err
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}
