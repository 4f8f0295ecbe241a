package main

import (
	"fmt"
	"io"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// optional is the folder of what not every volume can hold.
const optional = "where supported"

// none is the id of an entry of an access list that names nobody.
const none = 0xffffffff

// ownerOnly is an access list that gives new entries to their owner alone.
var ownerOnly = accessList([3]uint32{0x01, 7, none}, [3]uint32{0x04, 0, none}, [3]uint32{0x20, 0, none})

// recipe says which corpus is made.
type recipe struct {
	seed    string
	torture bool
	changed bool
	many    int
	sparse  int64
	entries int
	file    int64
}

func (r recipe) items() []Item {
	if r.changed {
		return changed(r.seed, r.before()).items
	}
	return r.before()
}

func (r recipe) before() []Item {
	if !r.torture {
		return standard(r.seed)
	}
	b := &builder{seed: r.seed, items: standard(r.seed), count: 1_000}
	identity := *b.last()
	b.items = b.items[:len(b.items)-1]
	b.items[0].values = map[string]string{"user.volume": "kept", "system.posix_acl_default": ownerOnly}
	b.strangeNames()
	b.attributes()
	b.strangeLinks()
	b.specials()
	b.passedOver()
	b.whereSupported()
	b.large(r.sparse)
	b.crowd(r.many)
	b.plenty(r.entries, r.file)
	b.depth()
	return append(b.items, identity) // the last: who finds it finds a whole corpus
}

// strangeNames are legal on Linux and often altered on the way.
func (b *builder) strangeNames() {
	b.folder("strange names", 0o755)
	for _, name := range []string{
		"bell-\a", "delete-\x7f", "carriage\rreturn", "line-separator-\u2028", "zero-width-\u200b", "right-to-left-\u202e",
		"combined-a\u0323\u0307", "reordered-a\u0307\u0323", "compatible-\ufb01", "replacement-\ufffd", "\ufeffmark",
		"not-utf8-\xff\xfe", "latin1-\xe9", "...", "trailing.", "~tilde", "#hash#", "CON", "a:b", "[0-9]*", "$(id)",
		strings.Repeat("界", 85), strings.Repeat("e\u0301", 85),
	} {
		b.random("strange names/"+name, 10, 0o600)
	}
	b.folder("strange names/"+strings.Repeat("d", 255), 0o700)
	b.random("strange names/"+strings.Repeat("d", 255)+"/"+strings.Repeat("f", 255), 10, 0o600)
}

func (b *builder) attributes() {
	b.folder("attributes", 0o755)
	b.with("samba", map[string]string{"user.DOSATTRIB": "0x20\x00\x00\x04\x00"})
	b.with("user", map[string]string{
		"user.text": "a value", "user.empty": "", "user.binary": "\x00\x01\xff\n", "user.ünï": "name",
		"user.large": strings.Repeat("0123456789", 300),
	})
	const user, named, group, mask, other = 0x01, 0x02, 0x04, 0x10, 0x20
	list := accessList([3]uint32{user, 6, none}, [3]uint32{named, 4, 1000}, [3]uint32{group, 4, none},
		[3]uint32{mask, 4, none}, [3]uint32{other, 0, none})
	b.with("access-list", map[string]string{"system.posix_acl_access": list})
	const bindPort = 10
	b.with("capability", map[string]string{"security.capability": capability(bindPort)})
	b.folder("attributes/folder", 0o2750)
	b.last().values = map[string]string{"user.folder": "kept", "system.posix_acl_default": list}
	b.random("attributes/folder/owned", 64, 0o4750)
	b.last().UID, b.last().GID = 4_294_967_294, 100_000
	b.last().values = map[string]string{"user.owned": "kept"}
}

func (b *builder) with(name string, values map[string]string) {
	b.random("attributes/"+name, 64, 0o640)
	b.last().values = values
}

func (b *builder) strangeLinks() {
	b.folder("strange links", 0o755)
	b.text("strange links/empty", "")
	b.twin("strange links/empty twin", "strange links/empty")
	b.random("strange links/private", 64, 0o600)
	b.last().values = map[string]string{"user.shared": "by both names"}
	b.twin("strange links/other name", "strange links/private")
	b.link("strange links/long", strings.Repeat("x/", 2_000)+"x")
	b.link("strange links/with spaces", "/no such/ place\n")
	b.link("strange links/not-utf8", "not-utf8-\xff\xfe")
	b.link("strange links/symlink", "private")
	b.twin("strange links/symlink twin", "strange links/symlink")
	for i := range 20 {
		b.link(fmt.Sprintf("strange links/chain-%02d", i), fmt.Sprintf("chain-%02d", i+1))
	}
}

func (b *builder) specials() {
	b.folder("specials", 0o755)
	b.add(Item{Entry: Entry{Path: "specials/fifo", Type: "fifo"}, mode: 0o620})
	b.add(Item{Entry: Entry{Path: "specials/socket", Type: "socket"}, mode: 0o755})
}

// passedOver is what a backup may take for a cache, a list of what to leave out, or its own.
func (b *builder) passedOver() {
	b.folder("cache", 0o755)
	b.text("cache/CACHEDIR.TAG", "Signature: 8a477f597d28d172789f06886806bc55\n")
	b.random("cache/inside", 100, 0o644)
	b.folder("listed", 0o755)
	b.text("listed/.kopiaignore", "*.listed\n")
	b.random("listed/file.listed", 100, 0o644)
	b.random("listed/file", 100, 0o644)
	b.folder(".velero", 0o700)
	b.random(".velero/of the user", 100, 0o600)
	b.folder("lost+found", 0o700)
	b.random("lost+found/#12", 100, 0o600)
}

// whereSupported is what needs a right or a file system that a volume may not have: write leaves
// out what it is refused, and the reader of the plan what the volume does not hold.
func (b *builder) whereSupported() {
	b.folder(optional, 0o755)
	b.device("whiteout", unix.S_IFCHR, 0, 0) // how overlay file systems record a deletion
	b.device("loop", unix.S_IFBLK, 7, 0)
	b.random(optional+"/trusted", 64, 0o644)
	b.last().values = map[string]string{"trusted.overlay.opaque": "y"}
	b.random(optional+"/flags", 64, 0o644)
	b.last().flags = noDump | noAccessTime
	b.random(optional+"/after-2262", 64, 0o644)
	b.last().MTime = Time{13_569_465_600, 5} // 2400: its nanoseconds do not fit into 64 bits
	b.random(optional+"/before-1901", 64, 0o644)
	b.last().MTime = Time{-3_786_825_600, 5} // 1850: its seconds do not fit into 32 bits
}

func (b *builder) device(name string, kind uint32, major, minor uint32) {
	number := unix.Mkdev(major, minor)
	entry := Entry{Path: optional + "/" + name, Type: "device", Device: device(kind == unix.S_IFBLK, number)}
	b.add(Item{Entry: entry, mode: 0o640, number: int(number)})
}

// plenty is one folder of many entries and one large file of random data, both only if asked for.
func (b *builder) plenty(entries int, size int64) {
	if entries > 0 {
		b.folder("entries", 0o755)
	}
	for i := range entries {
		b.random(fmt.Sprintf("entries/%06d", i), int64(i)%16, 0o644)
	}
	if size > 0 {
		b.random("file.bin", size, 0o644)
	}
}

// large is a file of holes with data at its start, in its middle and at its end.
func (b *builder) large(size int64) {
	const piece = 64 * kibibyte
	start, end := piece, size-piece
	middle := size / 2 / piece * piece
	content := func() io.Reader {
		data := func(name string) io.Reader {
			return io.LimitReader(b.stream("large/sparse.bin/"+name), piece)
		}
		return io.MultiReader(data("start"), io.LimitReader(zeros{}, middle-start), data("middle"),
			io.LimitReader(zeros{}, end-middle-piece), data("end"))
	}
	b.folder("large", 0o755)
	b.file("large/sparse.bin", size, 0o644, content)
	b.last().sparse, b.last().Disk = true, 3*piece
}

// crowd is a number of small files, a hundred a folder; every tenth is a copy of the one before.
func (b *builder) crowd(files int) {
	b.folder("crowd", 0o755)
	for i := range files {
		folder := fmt.Sprintf("crowd/%03d", i/100)
		if i%100 == 0 {
			b.folder(folder, 0o755)
		}
		name := fmt.Sprintf("%s/%05d", folder, i)
		if i%10 == 9 {
			b.items = append(b.items, *b.last())
			b.last().Path = name
			continue
		}
		b.random(name, int64(i*7919)%2048, 0o640)
	}
}

// depth is 126 folders in each other: a path of 3,800 bytes. Linux ends at 4,095, and a node has
// some 170 before it, the uploader some 30 after it.
func (b *builder) depth() {
	deep := "depth"
	b.folder(deep, 0o755)
	for i := range 126 {
		deep = path.Join(deep, fmt.Sprintf("level-%03d-%s", i, strings.Repeat("v", 19)))
		b.folder(deep, 0o700)
	}
	b.random(deep+"/bottom", 64, 0o600)
}

func (b *builder) last() *Item { return &b.items[len(b.items)-1] }
