package main

import (
	"fmt"
	"runtime"
)

// page is how often strain has to touch its memory for all of it to be in use.
const page = 4096

// strain uses size bytes of memory and every CPU it is given, until it is stopped.
func strain(size int64) error {
	threads := int64(runtime.NumCPU())
	if size < page*threads {
		return fmt.Errorf("-bytes must be %d or more", page*threads)
	}
	for range threads {
		go touch(make([]byte, size/threads))
	}
	select {}
}

func touch(held []byte) {
	for {
		for i := 0; i < len(held); i += page {
			held[i]++
		}
	}
}
