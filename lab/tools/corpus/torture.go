package main

import (
	"fmt"
	"io"
	"path"
	"strings"
)

// recipe says which corpus is made.
type recipe struct {
	seed    string
	torture bool
	many    int
	sparse  int64
}

func (r recipe) items() []Item {
	if !r.torture {
		return standard(r.seed)
	}
	b := &builder{seed: r.seed, items: standard(r.seed), count: 1_000}
	identity := *b.last()
	b.items = b.items[:len(b.items)-1]
	b.strangeNames()
	b.attributes()
	b.strangeLinks()
	b.specials()
	b.large(r.sparse)
	b.crowd(r.many)
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
	b.with("user", map[string]string{
		"user.text": "a value", "user.empty": "", "user.binary": "\x00\x01\xff\n", "user.ünï": "name",
		"user.large": strings.Repeat("0123456789", 300),
	})
	const user, named, group, mask, other, none = 0x01, 0x02, 0x04, 0x10, 0x20, 0xffffffff
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

// depth is a hundred folders in each other: a path of some 3,000 bytes, where Linux ends at 4,095.
func (b *builder) depth() {
	deep := "depth"
	b.folder(deep, 0o755)
	for i := range 100 {
		deep = path.Join(deep, fmt.Sprintf("level-%03d-%s", i, strings.Repeat("v", 19)))
		b.folder(deep, 0o700)
	}
	b.random(deep+"/bottom", 64, 0o600)
}

func (b *builder) last() *Item { return &b.items[len(b.items)-1] }
