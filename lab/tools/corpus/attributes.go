package main

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// Attributes that are data. What is left out belongs to the node: a SELinux label, for one, is
// given by the policy of the machine that a file is made on.
var keptAttributes = []string{"user.", "trusted.", "system.posix_acl_", "security.capability"}

// attributes is the digest of every extended attribute of path, a link not followed.
func attributes(path string) (map[string]string, error) {
	names, err := grown(func(into []byte) (int, error) { return unix.Llistxattr(path, into) })
	if errors.Is(err, unix.ENOTSUP) || len(names) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%s: attributes: %w", path, err)
	}
	values := map[string]string{}
	for _, name := range strings.Split(strings.TrimSuffix(string(names), "\x00"), "\x00") {
		if !kept(name) {
			continue
		}
		value, err := grown(func(into []byte) (int, error) { return unix.Lgetxattr(path, name, into) })
		if err != nil {
			return nil, fmt.Errorf("%s: attribute %s: %w", path, name, err)
		}
		values[name] = string(value)
	}
	return digests(values), nil
}

func kept(name string) bool {
	for _, prefix := range keptAttributes {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// grown calls with no room, which asks for the size, and then with as much; again when it has grown.
func grown(call func([]byte) (int, error)) ([]byte, error) {
	for {
		size, err := call(nil)
		if err != nil || size == 0 {
			return nil, err
		}
		buffer := make([]byte, size)
		size, err = call(buffer)
		if !errors.Is(err, unix.ERANGE) {
			return buffer[:max(size, 0)], err
		}
	}
}

func digests(values map[string]string) map[string]string {
	if len(values) == 0 {
		return nil
	}
	found := map[string]string{}
	for name, value := range values {
		digest := sha256.Sum256([]byte(value))
		found[escape(name)] = hex.EncodeToString(digest[:])
	}
	return found
}

// accessList is the value of a POSIX ACL attribute: tag, permission and id of each entry, in order.
func accessList(entries ...[3]uint32) string {
	value := binary.LittleEndian.AppendUint32(nil, 2) // version
	for _, entry := range entries {
		value = binary.LittleEndian.AppendUint16(value, uint16(entry[0]))
		value = binary.LittleEndian.AppendUint16(value, uint16(entry[1]))
		value = binary.LittleEndian.AppendUint32(value, entry[2])
	}
	return string(value)
}

// capability is the value of security.capability (revision 2, effective) for one capability below 32.
func capability(number uint32) string {
	value := binary.LittleEndian.AppendUint32(nil, 0x02000001)
	for _, set := range []uint32{1 << number, 0, 0, 0} {
		value = binary.LittleEndian.AppendUint32(value, set)
	}
	return string(value)
}
