// Command node-entrypoint is the first process of a kind node: it makes the container a place
// where systemd, containerd and a kubelet can run, and then becomes the program it is given.
//
//	node-entrypoint /sbin/init
//
// For hosts with cgroup v1. kind waits for the words "detected cgroup v1" in its output.
package main

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	groups    = "/sys/fs/cgroup"
	known     = "/proc/cgroups"
	machineID = "/etc/machine-id"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("node-entrypoint: ")
	if len(os.Args) < 2 {
		log.Fatal("the program to become is missing")
	}
	if err := prepare(); err != nil {
		log.Fatal(err)
	}
	fmt.Println("detected cgroup v1")
	log.Fatal(unix.Exec(os.Args[1], os.Args[1:], os.Environ()))
}

func prepare() error {
	if _, err := os.Stat(filepath.Join(groups, "cgroup.controllers")); err == nil {
		return fmt.Errorf("%s is of version 2: this image is made for version 1", groups)
	}
	// By a read-only /sys systemd knows that it is in a container.
	if err := unix.Mount("", "/sys", "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""); err != nil {
		return fmt.Errorf("/sys cannot be made read-only: %w", err)
	}
	// So that what a pod mounts reaches the other pods.
	if err := unix.Mount("", "/", "", unix.MS_SHARED|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("mounts cannot be shared: %w", err)
	}
	if err := nameMachine(); err != nil {
		return err
	}
	if err := hideHierarchies(); err != nil {
		return err
	}
	return makeGroups()
}

// nameMachine gives the node an identity of its own, once.
func nameMachine() error {
	if old, err := os.ReadFile(machineID); err == nil && len(old) > 0 {
		return nil
	}
	name := make([]byte, 16)
	rand.Read(name)
	return os.WriteFile(machineID, []byte(hex.EncodeToString(name)+"\n"), 0o444)
}

// hideHierarchies shows systemd only the hierarchies that are mounted: it would mount the
// others, and that would be seen on the whole machine. containerd.service lifts the veil.
func hideHierarchies() error {
	all, err := os.ReadFile(known)
	if err != nil {
		return err
	}
	const veil = "/run/cgroups"
	if err := os.WriteFile(veil, []byte(mounted(string(all), exists)), 0o444); err != nil {
		return err
	}
	return unix.Mount(veil, known, "", unix.MS_BIND, "")
}

// mounted keeps the heading of /proc/cgroups and the lines of the hierarchies that are there.
func mounted(all string, there func(string) bool) string {
	heading, lines, _ := strings.Cut(all, "\n")
	kept := []string{heading}
	for line := range strings.Lines(lines) {
		name, _, _ := strings.Cut(line, "\t")
		if there(filepath.Join(groups, name)) {
			kept = append(kept, strings.TrimRight(line, "\n"))
		}
	}
	return strings.Join(kept, "\n") + "\n"
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// makeGroups makes the groups below which kind lets the kubelet put its pods.
func makeGroups() error {
	if err := unix.Mount("", groups, "", unix.MS_PRIVATE|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("%s: %w", groups, err)
	}
	hierarchies, err := filepath.Glob(filepath.Join(groups, "*"))
	if err != nil {
		return err
	}
	for _, hierarchy := range hierarchies {
		for _, name := range []string{"kubelet", "kubelet.slice"} {
			if err := makeGroup(hierarchy, name); err != nil {
				return err
			}
		}
	}
	return nil
}

func makeGroup(hierarchy, name string) error {
	group := filepath.Join(hierarchy, name)
	if err := os.MkdirAll(group, 0o755); err != nil {
		return err
	}
	// A cpuset group takes no process until it has processors and memory.
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
		if given, err := os.ReadFile(filepath.Join(hierarchy, file)); err == nil {
			if err := os.WriteFile(filepath.Join(group, file), given, 0o644); err != nil {
				return err
			}
		}
	}
	// systemd removes an empty group, but not one that is mounted.
	return unix.Mount(group, group, "", unix.MS_BIND, "")
}
