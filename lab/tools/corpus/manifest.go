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
	"sort"
	"strings"
	"syscall"
	"unicode/utf8"
)

// Entry is one path of a corpus: what a restore has to give back.
type Entry struct {
	Path   string `json:"path"`               // relative, '%' and bytes that are not UTF-8 percent-encoded
	Type   string `json:"type"`               // file, directory, symlink or other
	Mode   string `json:"mode"`               // permission, set-id and sticky bits, octal
	UID    uint32 `json:"uid"`                //
	GID    uint32 `json:"gid"`                //
	MTime  int64  `json:"mtime_ns"`           // nanoseconds since 1970
	Size   int64  `json:"size"`               // bytes; 0 unless a file
	SHA256 string `json:"sha256,omitempty"`   // files only
	Target string `json:"target,omitempty"`   // symlinks only
	Twin   string `json:"hardlink,omitempty"` // first path, in order, of the same inode
}

type trailer struct {
	Entries int   `json:"entries"`
	Bytes   int64 `json:"bytes"`
}

func printManifest(to io.Writer, entries []Entry) error {
	sort.Slice(entries, func(i, j int) bool { return entries[i].Path < entries[j].Path })
	out := bufio.NewWriter(to)
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	end := trailer{Entries: len(entries)}
	for _, entry := range entries {
		end.Bytes += entry.Size
		if err := encoder.Encode(entry); err != nil {
			return err
		}
	}
	if err := encoder.Encode(end); err != nil {
		return err
	}
	return out.Flush()
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

// read walks root without following links. An unreadable entry is an error, never a gap.
func read(root string) ([]Entry, error) {
	if root == "" {
		return nil, fmt.Errorf("the folder to read is missing")
	}
	var entries []Entry
	firstName := map[uint64]string{}
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, path)
		if err != nil || relative == "." {
			return err
		}
		entry, inode, err := describe(path, escape(relative))
		if err != nil {
			return err
		}
		if entry.Type == "file" {
			if twin, seen := firstName[inode]; seen {
				entry.Twin = twin
			} else {
				firstName[inode] = entry.Path
			}
		}
		entries = append(entries, entry)
		return nil
	})
	return entries, err
}

func describe(path, name string) (Entry, uint64, error) {
	var status syscall.Stat_t
	if err := syscall.Lstat(path, &status); err != nil {
		return Entry{}, 0, fmt.Errorf("%s: %w", path, err)
	}
	entry := Entry{
		Path: name, UID: status.Uid, GID: status.Gid, MTime: status.Mtim.Nano(),
		Mode: fmt.Sprintf("%04o", status.Mode&0o7777), Type: "other",
	}
	var err error
	switch status.Mode & syscall.S_IFMT {
	case syscall.S_IFREG:
		entry.Type, entry.Size = "file", status.Size
		entry.SHA256, err = digest(path)
	case syscall.S_IFDIR:
		entry.Type = "directory"
	case syscall.S_IFLNK:
		entry.Type = "symlink"
		entry.Target, err = os.Readlink(path)
	}
	return entry, status.Ino, err
}

func digest(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, file); err != nil {
		return "", err
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}
