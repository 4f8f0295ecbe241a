package main

import (
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// space is how much the files below a folder hold: what a backup that goes file by file reads.
type space struct {
	Pattern string `json:"pattern"`
	Bytes   int64  `json:"bytes"`
	Files   int64  `json:"files"`
}

// printSizes prints a line for each pattern. A pattern stands for exactly one folder: what a
// node keeps a volume under depends on the kind of the volume.
func printSizes(patterns []string, out io.Writer) error {
	printer := json.NewEncoder(out)
	for _, pattern := range patterns {
		found, err := filepath.Glob(pattern)
		if err != nil {
			return err
		}
		if len(found) != 1 {
			return fmt.Errorf("%s stands for %d folders, not one", pattern, len(found))
		}
		measured, err := sizeOf(found[0])
		if err != nil {
			return err
		}
		measured.Pattern = pattern
		if err := printer.Encode(measured); err != nil {
			return err
		}
	}
	return nil
}

// sizeOf walks a folder. A file of several names counts for each of them, as the uploader counts
// it; what vanishes meanwhile is not counted, because the application goes on writing.
func sizeOf(root string) (space, error) {
	var total space
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			var info fs.FileInfo
			if info, err = entry.Info(); err == nil {
				total.Bytes += info.Size()
				total.Files++
			}
		}
		if os.IsNotExist(err) && path != root {
			return nil
		}
		return err
	})
	return total, err
}

// remove deletes a path with everything below it, and refuses one that is not there.
func remove(path string) error {
	if _, err := os.Lstat(path); err != nil {
		return err
	}
	return os.RemoveAll(path)
}
