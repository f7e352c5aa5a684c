// Package fleet has the backends of the scenarios: HTTP/1.1 servers on loopback that can be killed and started again on
// their port, made slow, made to fail, and that count what reaches them.
package fleet

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"time"
)

// Fleet is some backends that are alike.
type Fleet []*Backend

// Start makes n backends that listen.
func Start(n int, o Options) (Fleet, error) {
	var f Fleet
	for i := range n {
		b := &Backend{Options: o, name: fmt.Sprint(i), healed: make(chan struct{})}
		ln, err := freePort()
		if err != nil {
			f.Close()
			return nil, err
		}
		b.addr = ln.Addr().String()
		b.listen(ln)
		f = append(f, b)
	}
	return f, nil
}

// Addresses are those of the backends, in order.
func (f Fleet) Addresses() []string {
	list := make([]string, len(f))
	for i, b := range f {
		list[i] = b.addr
	}
	return list
}

// Close ends all backends with their connections.
func (f Fleet) Close() {
	for _, b := range f {
		b.Kill()
	}
}

// Counts is what the backends counted so far.
func (f Fleet) Counts() []Counts {
	list := make([]Counts, len(f))
	for i, b := range f {
		list[i] = b.Counts()
	}
	return list
}

// Total is the sum of all counts.
func (f Fleet) Total() Counts {
	var total Counts
	for _, c := range f.Counts() {
		total.Requests += c.Requests
		total.Conns += c.Conns
	}
	return total
}

// freePort listens on a port below those that the kernel gives to connections, which could take it while the backend is
// down.
func freePort() (net.Listener, error) {
	const tries = 1000
	for range tries {
		if ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 10000+rand.IntN(20000))); err == nil {
			return ln, nil
		}
	}
	return nil, errors.New("no port between 10000 and 29999 is free")
}

// Kill closes the port and all connections, as the end of a process does.
func (b *Backend) Kill() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.server != nil {
		b.server.Close()
		for conn := range b.hijacked {
			conn.Close()
		}
		b.server = nil
	}
}

// Restart listens again on the port that the backend had.
func (b *Backend) Restart() error {
	const patience = 2 * time.Second
	var err error
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		var ln net.Listener
		if ln, err = net.Listen("tcp", b.addr); err == nil {
			b.listen(ln)
			return nil
		}
	}
	return fmt.Errorf("start backend again: %w", err)
}

func (b *Backend) listen(ln net.Listener) {
	server := &http.Server{Handler: b, ConnContext: b.connContext, ErrorLog: silent}
	b.mu.Lock()
	b.server, b.hijacked = server, make(map[net.Conn]struct{})
	b.mu.Unlock()
	go func() { _ = server.Serve(ln) }()
}
