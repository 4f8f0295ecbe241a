package main

import (
	"fmt"
	"os"
)

// fillFiles is how many files fill spreads its bytes over.
const fillFiles = 10

// fill writes fresh random data, total bytes in ten files and the identity file, for timings:
// it neither compresses nor deduplicates. What it needs of memory does not depend on total.
func fill(seed string, total int64, root string) error {
	if total < fillFiles {
		return fmt.Errorf("-bytes must be %d or more", fillFiles)
	}
	b := &builder{seed: seed}
	for i := range int64(fillFiles) {
		size := total*(i+1)/fillFiles - total*i/fillFiles
		b.random(fmt.Sprintf("fill-%d.bin", i), size, 0o644)
	}
	b.text(identityFile, "velero-acceptance fill, seed "+seed+"\n")
	if err := os.MkdirAll(root, 0o755); err != nil {
		return err
	}
	return write(b.items, root)
}
