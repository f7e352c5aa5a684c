package client

import (
	"bufio"
	"context"
	"io"
	"net"
	"testing"
	"time"

	"github.com/caddylb/caddy-lb/bench/internal/chaos/fleet"
)

// one starts a backend and a client for it.
func one(t *testing.T) (*fleet.Backend, *H1) {
	t.Helper()
	f, err := fleet.Start(1, fleet.Options{Service: time.Millisecond, Slower: 10})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	c := &H1{Addr: f[0].Addr(), Timeout: 5 * time.Second}
	t.Cleanup(c.Close)
	return f[0], c
}

// Each thing that can be wrong with a backend is told apart.
func TestFaults(t *testing.T) {
	b, c := one(t)
	send := Get(c, "/")
	expect := func(what string, want Outcome) {
		t.Helper()
		if got := send(0).Outcome; got != want {
			t.Errorf("%s: %s, want %s", what, got, want)
		}
	}
	expect("well", OK)
	b.Break(fleet.Fail)
	expect("failing", Status)
	b.Break(fleet.Reset)
	expect("resetting", Broken)
	b.Break(fleet.Hang)
	hasty := &H1{Addr: b.Addr(), Timeout: 50 * time.Millisecond}
	if got := Get(hasty, "/")(0).Outcome; got != Timeout {
		t.Errorf("hanging: %s", got)
	}
	if got := Get(hasty, fleet.HealthPath)(0).Outcome; got != Timeout {
		t.Errorf("the health check of what hangs: %s", got)
	}
	b.Break(fleet.None)
	expect("well again", OK)
	b.Kill()
	expect("killed", Refused)
	if err := b.Restart(); err != nil {
		t.Fatal(err)
	}
	expect("restarted", OK)
	if got := b.Counts(); got.Requests != 6 || got.Conns < 3 {
		t.Errorf("the backend counted %+v", got)
	}
}

// A backend that hangs serves those who waited when it goes on.
func TestHangEnds(t *testing.T) {
	b, c := one(t)
	b.Break(fleet.Hang)
	done := make(chan Outcome, 1)
	go func() {
		done <- Get(c, "/")(0).Outcome
	}()
	for b.Counts().Requests == 0 {
		time.Sleep(time.Millisecond)
	}
	b.Break(fleet.None)
	if got := <-done; got != OK {
		t.Errorf("got %s", got)
	}
}

// A connection that ends just as a request arrives is stale; one that never answered is cut.
func TestStaleAndCut(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for first := true; ; first = false {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			r := bufio.NewReader(conn)
			readHead(r)
			if first {
				io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
				readHead(r)
			}
			conn.Close()
		}
	}()
	c := &H1{Addr: ln.Addr().String(), Timeout: 5 * time.Second}
	for i, want := range []Outcome{OK, Stale, Cut} {
		if got := Get(c, "/")(i).Outcome; got != want {
			t.Errorf("request %d: %s, want %s", i, got, want)
		}
	}
}

func readHead(r *bufio.Reader) {
	for line := ""; line != "\r\n"; {
		var err error
		if line, err = r.ReadString('\n'); err != nil {
			return
		}
	}
}

func TestWebSocketAndUpload(t *testing.T) {
	b, c := one(t)
	ws := WebSocket(b.Addr(), 5*time.Second)
	for seq := range 3 {
		if got := ws(seq).Outcome; got != OK {
			t.Fatalf("message %d: %s", seq, got)
		}
	}
	b.Kill()
	if got := ws(3).Outcome; got != Cut {
		t.Errorf("after the end of the backend: %s", got)
	}
	if err := b.Restart(); err != nil {
		t.Fatal(err)
	}
	if got := ws(4).Outcome; got != OK {
		t.Errorf("another connection: %s", got)
	}
	if got := Upload(c, 3, 100, time.Millisecond)(0).Outcome; got != OK {
		t.Errorf("upload: %s", got)
	}
}

// Requests of an open load are due at equal distances, however long answers take.
func TestOpenLoad(t *testing.T) {
	const distance = 5 * time.Millisecond
	block := make(chan struct{})
	sent := make(chan int, 100)
	run := Open(context.Background(), float64(time.Second/distance), func(seq int) Answer {
		sent <- seq
		<-block
		return Answer{Status: 200, Outcome: OK}
	})
	for range 4 {
		<-sent
	}
	close(block)
	all := run.Stop()
	if len(all) < 4 {
		t.Fatalf("%d requests, want 4 or more", len(all))
	}
	for _, s := range all {
		if s.Due != time.Duration(s.Seq)*distance || s.Sent < s.Due || s.End < s.Sent {
			t.Errorf("got %+v", s)
		}
	}
}
