package caddytest

import (
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"testing"
)

var (
	handedOutMu sync.Mutex
	handedOut   = make(map[int]bool)
)

// freePort returns a port on loopback that nobody listens on, TCP or UDP, and that no other test gets. It lies
// below the range from which systems take the ports of outgoing connections, so that it stays free while its
// owner is down.
func freePort(t testing.TB) string {
	t.Helper()
	handedOutMu.Lock()
	defer handedOutMu.Unlock()
	for range 1000 {
		port := 15000 + rand.IntN(15000)
		if handedOut[port] || !canListen(port) {
			continue
		}
		handedOut[port] = true
		return strconv.Itoa(port)
	}
	t.Fatal("no free port found")
	return ""
}

func canListen(port int) bool {
	ln, err := net.ListenTCP("tcp", &net.TCPAddr{Port: port})
	if err != nil {
		return false
	}
	ln.Close()
	pc, err := net.ListenUDP("udp", &net.UDPAddr{Port: port})
	if err != nil {
		return false
	}
	pc.Close()
	return true
}
