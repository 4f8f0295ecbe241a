// Command forwarder carries connections from ports of the machine's loopback into the lab.
//
//	forwarder -machine /proc/PID/ns/net 16443=10.77.0.2:6443 …
//
// It is started inside the lab's network and steps out once, to listen: a socket stays in the
// network namespace it was made in.
package main

import (
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

func main() {
	machine := flag.String("machine", "", "path of the machine's network namespace")
	flag.Parse()
	listeners, err := listen(*machine, flag.Args())
	if err != nil {
		log.Fatal(err)
	}
	var serving sync.WaitGroup
	for target, listener := range listeners {
		serving.Go(func() { serve(listener, target) })
	}
	serving.Wait()
}

// listen opens every route's port in the namespace at path machine; the result is by target.
func listen(machine string, routes []string) (map[string]net.Listener, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return nil, err
	}
	defer home.Close()
	away, err := os.Open(machine)
	if err != nil {
		return nil, err
	}
	defer away.Close()
	if err := unix.Setns(int(away.Fd()), unix.CLONE_NEWNET); err != nil {
		return nil, fmt.Errorf("cannot enter %s: %w", machine, err)
	}
	listeners := map[string]net.Listener{}
	for _, route := range routes {
		port, target, ok := strings.Cut(route, "=")
		if !ok {
			return nil, fmt.Errorf("%q is no route: PORT=ADDRESS:PORT", route)
		}
		if listeners[target], err = net.Listen("tcp4", "127.0.0.1:"+port); err != nil {
			return nil, err
		}
	}
	return listeners, unix.Setns(int(home.Fd()), unix.CLONE_NEWNET)
}

func serve(listener net.Listener, target string) {
	for {
		near, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go carry(near.(*net.TCPConn), target)
	}
}

// carry copies both ways until both ends are done; the end of one way is passed on as such.
func carry(near *net.TCPConn, target string) {
	defer near.Close()
	dialled, err := net.Dial("tcp4", target)
	if err != nil {
		near.SetLinger(0) // the caller sees a reset, as from a refused port
		return
	}
	far := dialled.(*net.TCPConn)
	defer far.Close()
	var ways sync.WaitGroup
	for _, way := range [][2]*net.TCPConn{{near, far}, {far, near}} {
		ways.Go(func() {
			if _, err := io.Copy(way[1], way[0]); err != nil {
				way[0].Close() // broken, not ended: the other way must not wait for it
				way[1].Close()
				return
			}
			way[1].CloseWrite()
		})
	}
	ways.Wait()
}
