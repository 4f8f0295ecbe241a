package main

import "fmt"

// page is how often strain has to touch its memory for all of it to be in use.
const page = 4096

// strain uses size bytes of memory and one CPU until it is stopped.
func strain(size int64) error {
	if size < page {
		return fmt.Errorf("-bytes must be %d or more", page)
	}
	held := make([]byte, size)
	for {
		for i := int64(0); i < size; i += page {
			held[i]++
		}
	}
}
