package main

import (
	"errors"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// change says how an item of a changed corpus came to be; nothing for one that stayed as it was.
type change string

const (
	made    change = "made"    // in the place of nothing, or of something that was removed
	edited  change = "edited"  // written over, the same inode
	renamed change = "renamed" //
	touched change = "touched" // another mode, owner or time
)

// revision is a corpus after its change.
type revision struct {
	builder
	removed []string
}

// changed is what happens to a volume between two backups. An uploader compares with the backup
// before, so each way by which it may take something new for known is here.
func changed(seed string, items []Item) revision {
	r := revision{builder: builder{seed: seed + "\x00changed", items: append([]Item(nil), items...), count: 100_000}}
	r.make("added", func(b *builder) {
		b.folder("added", 0o750)
		b.random("added/file", 5_000, 0o640)
		b.link("added/link", "file")
	})
	r.make("sizes/added.bin", func(b *builder) { b.random("sizes/added.bin", 4096, 0o600) })
	r.edit("sizes/random-1048576.bin", mebibyte)
	r.edit("sizes/compressible.txt", 2*mebibyte) // grown
	r.edit("sizes/random-65536.bin", 4096)       // cut
	r.edit("sizes/random-513.bin", 0)
	r.make("sizes/random-511.bin", func(b *builder) { // a file becomes a folder
		b.folder("sizes/random-511.bin", 0o755)
		b.random("sizes/random-511.bin/inside", 511, 0o644)
	})
	r.make("empty", func(b *builder) { b.random("empty", 10, 0o644) }) // and a folder a file
	r.make("sizes/random-512.bin", func(b *builder) { b.link("sizes/random-512.bin", "random-4096.bin") })
	r.make("links/relative", func(b *builder) { b.link("links/relative", "../many") })
	r.make("times/y1999", func(b *builder) { // an older file, as a copy that keeps times puts there
		b.random("times/y1999", 64, 0o644)
		b.last().MTime = at(epoch)
	})
	r.rename("many/100", "many/renamed")
	r.rename("deep", "deeper")
	r.rename("links/second-name", "links/elsewhere/second-name")
	r.remove("many/101")
	r.remove("links/elsewhere/third-name")
	r.remove("owners")
	r.touch("modes/file-0640", func(item *Item) { item.mode, item.Mode = 0o4711, "4711" })
	r.touch("modes/folder-0700", func(item *Item) { item.UID, item.GID = 65534, 1000 })
	r.touch("sizes/large.bin", func(item *Item) { item.MTime = at(y2106) })
	// Only the change time shows these: an encrypted container, and a build with reproducible times.
	r.unseen("sizes/random-4096.bin", r.edit)
	r.unseen("sizes/random-4097.bin", func(name string, size int64) {
		r.make(name, func(b *builder) { b.random(name, size, 0o644) })
	})
	return r
}

func (r *revision) make(name string, with func(*builder)) {
	r.remove(name)
	known := len(r.items)
	with(&r.builder)
	for i := range r.items[known:] {
		r.items[known+i].how = made
	}
}

func (r *revision) find(name string) *Item {
	for i := range r.items {
		if r.items[i].Path == name {
			return &r.items[i]
		}
	}
	panic("no such item: " + name)
}

func (r *revision) edit(name string, size int64) {
	item := r.find(name)
	r.random(name, size, item.mode)
	last := *r.last()
	r.items = r.items[:len(r.items)-1]
	*item, item.how = last, edited
}

func (r *revision) touch(name string, set func(*Item)) {
	item := r.find(name)
	set(item)
	item.how = touched
}

// unseen changes a file's content by how, and neither its size nor its time.
func (r *revision) unseen(name string, how func(string, int64)) {
	before := *r.find(name)
	how(name, before.Size)
	digest, err := digestOf(before.content())
	if err != nil {
		panic(err) // the readers cannot fail
	}
	r.find(name).MTime, r.find(name).Before = before.MTime, digest
}

func (r *revision) rename(from, to string) {
	for i := range r.items {
		if below, found := strings.CutPrefix(r.items[i].Path, from); found && (below == "" || below[0] == '/') {
			r.items[i].Path = to + below
		}
	}
	item := r.find(to)
	item.how, item.from = renamed, from
}

func (r *revision) remove(name string) {
	kept := r.items[:0]
	for _, item := range r.items {
		if item.Path != name && !strings.HasPrefix(item.Path, name+"/") {
			kept = append(kept, item)
		}
	}
	if len(kept) < len(r.items) {
		r.removed = append(r.removed, name)
	}
	r.items = kept
}

// apply changes the corpus below root. What the change does not name is not touched: its change
// time would tell an uploader to look.
func (r *revision) apply(root string) error {
	if root == "" {
		return errors.New("the folder to change is missing")
	}
	for _, item := range r.items {
		if item.how == renamed {
			if err := os.Rename(filepath.Join(root, item.from), filepath.Join(root, item.Path)); err != nil {
				return err
			}
		}
	}
	for _, name := range r.removed {
		if err := remove(filepath.Join(root, name)); err != nil {
			return err
		}
	}
	dirty := map[string]bool{}
	for _, name := range r.removed {
		dirty[path.Dir(name)] = true
	}
	for _, item := range r.items {
		if err := item.renew(root); err != nil {
			return err
		}
		if item.how != "" {
			dirty[item.Path], dirty[path.Dir(item.Path)] = true, true
		}
		if item.how == renamed {
			dirty[path.Dir(item.from)] = true
		}
	}
	for i := len(r.items) - 1; i >= 0; i-- {
		if item := r.items[i]; dirty[item.Path] {
			if err := finish(item, filepath.Join(root, item.Path)); err != nil {
				return err
			}
		}
	}
	unix.Sync()
	return nil
}

// renew gives an item its new content.
func (item Item) renew(root string) error {
	switch item.how {
	case made:
		return create(item, root)
	case edited:
		file, err := os.OpenFile(filepath.Join(root, item.Path), os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		_, err = io.Copy(file, item.content())
		return errors.Join(err, file.Truncate(item.Size), file.Close())
	}
	return nil
}
