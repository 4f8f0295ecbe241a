package main

import (
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"path"
	"strings"
)

// Item is one path to write: an entry with the way its content is made.
type Item struct {
	Entry
	content func() io.Reader // files only; each call starts again
	mode    uint32
	values  map[string]string // extended attributes
	sparse  bool              // runs of zeros are written as holes
	number  int               // devices only
	flags   int               // of FS_IOC_SETFLAGS
	how     change            // by which it differs from the corpus before its change
	from    string            // its path before that; renamed only
}

// builder collects the items of a corpus; every value follows from the seed and the path.
type builder struct {
	seed  string
	items []Item
	count int64
}

// Times that restore tools are known to round, clamp or lose.
const (
	second    = int64(1_000_000_000)
	baseTime  = 1_700_000_000*second + 123_456_789
	epoch     = int64(0)
	y1999     = 946_684_799 * second
	y2106     = 4_294_967_296 * second // one past the 32-bit end of time
	preEpoch  = -86_400 * second
	kibibyte  = int64(1) << 10
	mebibyte  = int64(1) << 20
	largeFile = 16 * mebibyte
)

// standard is corpus v1: about 30 MB in some 300 entries, the cases that backups lose.
func standard(seed string) []Item {
	b := &builder{seed: seed}
	b.root()
	b.sizes()
	b.names()
	b.permissions()
	b.times()
	b.links()
	b.trees()
	b.text(identityFile, "velero-acceptance corpus v1, seed "+seed+"\n")
	return b.items
}

// root is as a database wants its data folder: for its own user alone. The user is that by whom
// Velero waits for the data in a restored pod.
func (b *builder) root() {
	b.folder(".", 0o700)
	b.last().UID, b.last().GID = 1000, 3000
}

func (b *builder) sizes() {
	b.folder("sizes", 0o755)
	for _, size := range []int64{0, 1, 511, 512, 513, 4095, 4096, 4097, 65536, 512*kibibyte - 1, mebibyte, 3*mebibyte + 7} {
		b.random(fmt.Sprintf("sizes/random-%d.bin", size), size, 0o644)
	}
	b.random("sizes/large.bin", largeFile, 0o644)
	b.file("sizes/zeros.bin", 4*mebibyte, 0o644, func() io.Reader { return io.LimitReader(zeros{}, 4*mebibyte) })
	text := strings.Repeat("The quick brown fox jumps over the lazy dog. ", 20_000)
	b.text("sizes/compressible.txt", text)
	b.text("sizes/duplicate-of-compressible.txt", text)
}

func (b *builder) names() {
	b.folder("names", 0o755)
	for _, name := range []string{
		"with space", " leading space", "trailing space ", "-dash", "--help", ".hidden", "quote'\"`$", "star*?[x]",
		"new\nline", "tab\tname", "back\\slash", "percent%41", "semi;colon&amp", "Straße", "日本語", "emoji-🗄️",
		"nfc-\u00e9", "nfd-e\u0301", "CASE", "case", strings.Repeat("n", 255),
	} {
		b.random("names/"+name, 100, 0o644)
	}
}

func (b *builder) permissions() {
	b.folder("modes", 0o755)
	for _, mode := range []uint32{0o000, 0o400, 0o444, 0o600, 0o640, 0o755, 0o777, 0o2755, 0o4755, 0o1644} {
		b.random(fmt.Sprintf("modes/file-%04o", mode), 64, mode)
	}
	for _, mode := range []uint32{0o000, 0o500, 0o700, 0o1777, 0o2775} {
		b.folder(fmt.Sprintf("modes/folder-%04o", mode), mode)
		b.random(fmt.Sprintf("modes/folder-%04o/inside", mode), 64, 0o600)
	}
	b.folder("owners", 0o755)
	for _, owner := range [][2]uint32{{0, 0}, {1000, 1000}, {1000, 0}, {65534, 65534}, {2_000_000_000, 3}} {
		b.random(fmt.Sprintf("owners/%d-%d", owner[0], owner[1]), 64, 0o640)
		b.last().UID, b.last().GID = owner[0], owner[1]
	}
}

func (b *builder) times() {
	b.folder("times", 0o755)
	for _, stamp := range []struct {
		name  string
		mtime int64
	}{{"tenth-of-a-microsecond", baseTime - 89}, {"epoch", epoch}, {"y1999", y1999}, {"y2106", y2106}, {"before-epoch", preEpoch}, {"nanoseconds", baseTime + 1}} {
		b.random("times/"+stamp.name, 64, 0o644)
		b.last().MTime = at(stamp.mtime)
	}
}

func (b *builder) links() {
	b.folder("links", 0o755)
	b.random("links/original", 2000, 0o644)
	b.link("links/relative", "original")
	b.link("links/absolute", "/data/links/original")
	b.link("links/dangling", "nothing/here")
	b.link("links/to-folder", "../sizes")
	b.link("links/to-itself", "to-itself")
	b.twin("links/second-name", "links/original")
	b.folder("links/elsewhere", 0o755)
	b.twin("links/elsewhere/third-name", "links/original")
}

func (b *builder) trees() {
	b.folder("empty", 0o755)
	b.folder("many", 0o755)
	for i := range 200 {
		b.random(fmt.Sprintf("many/%03d", i), int64(i)*37, 0o644)
	}
	deep := "deep"
	b.folder(deep, 0o755)
	for i := range 24 {
		deep = path.Join(deep, fmt.Sprintf("level-%02d", i))
		b.folder(deep, 0o755)
	}
	b.random(deep+"/bottom", 64, 0o644)
}

func (b *builder) add(item Item) {
	b.count++
	item.Mode = fmt.Sprintf("%04o", item.mode)
	item.MTime = at(baseTime + b.count*second)
	b.items = append(b.items, item)
}

func (b *builder) folder(name string, mode uint32) {
	b.add(Item{Entry: Entry{Path: name, Type: "directory"}, mode: mode})
}

func (b *builder) link(name, target string) {
	b.add(Item{Entry: Entry{Path: name, Type: "symlink", Target: target}, mode: 0o777})
}

// twin adds a second name for a file that is already there.
func (b *builder) twin(name, original string) {
	for _, item := range b.items {
		if item.Path == original {
			item.Path, item.Twin = name, original
			b.items = append(b.items, item)
			return
		}
	}
	panic("no such original: " + original)
}

func (b *builder) file(name string, size int64, mode uint32, content func() io.Reader) {
	b.add(Item{Entry: Entry{Path: name, Type: "file", Size: size, Disk: size}, mode: mode, content: content})
}

func (b *builder) random(name string, size int64, mode uint32) {
	b.file(name, size, mode, func() io.Reader { return io.LimitReader(b.stream(name), size) })
}

// stream is without an end; it follows from the seed and the name.
func (b *builder) stream(name string) io.Reader {
	return rand.NewChaCha8(sha256.Sum256([]byte(b.seed + "\x00" + name)))
}

func (b *builder) text(name, text string) {
	b.file(name, int64(len(text)), 0o644, func() io.Reader { return strings.NewReader(text) })
}

type zeros struct{}

func (zeros) Read(into []byte) (int, error) {
	clear(into)
	return len(into), nil
}

// planned is the manifest the items must lead to, computed without a file system.
func planned(items []Item) []Entry {
	entries := make([]Entry, 0, len(items))
	for _, item := range items {
		entry := item.Entry
		entry.Path, entry.Twin, entry.Target = escape(entry.Path), escape(entry.Twin), escape(entry.Target)
		entry.XAttrs, entry.Flags = digests(item.values), letters(item.flags)
		if entry.Type == "file" {
			digest, err := digestOf(item.content())
			if err != nil {
				panic(err) // the readers above cannot fail
			}
			entry.SHA256 = digest
		}
		entries = append(entries, entry)
	}
	return firstNames(entries)
}

// firstNames points every name of an inode but the first, in order of path, to the first, and
// counts the names.
func firstNames(entries []Entry) []Entry {
	first, names := map[string]string{}, map[string]uint64{}
	name := func(entry Entry) string {
		if entry.Twin != "" {
			return entry.Twin
		}
		return entry.Path
	}
	for _, entry := range entries {
		names[name(entry)]++
		if known, seen := first[name(entry)]; !seen || walkOrder(entry.Path, known) {
			first[name(entry)] = entry.Path
		}
	}
	for i, entry := range entries {
		entries[i].Twin = ""
		if known := first[name(entry)]; known != entry.Path {
			entries[i].Twin = known
		}
		if entry.Type != "directory" {
			entries[i].Links = names[name(entry)]
		}
	}
	return entries
}

// walkOrder says whether a comes before b in a depth-first walk with sorted folders.
func walkOrder(a, b string) bool {
	left, right := strings.Split(a, "/"), strings.Split(b, "/")
	for i := range min(len(left), len(right)) {
		if left[i] != right[i] {
			return left[i] < right[i]
		}
	}
	return len(left) < len(right)
}
