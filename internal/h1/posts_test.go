package h1

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// States of a connection at an unreliable server.
const (
	connIdle = iota
	connBusy
	connClosed
)

// unreliable is a server that ends connections after some idle time, and counts what it read.
type unreliable struct {
	keeps  time.Duration  // at the least, and up to twice as long; 0 for anything up to 5 ms
	seen   []atomic.Int32 // by the request's number
	rudely int            // one of so many requests is left half read, and its connection closed; 0 for none
	ended  atomic.Int64   // idle connections
	rude   atomic.Int64
	late   atomic.Bool // a connection was open for much longer than it should have been, as the machine stood still
}

func (u *unreliable) patience() time.Duration {
	if u.keeps == 0 {
		return rand.N(5 * time.Millisecond)
	}
	return u.keeps + rand.N(u.keeps)
}

// serve serves one connection.
func (u *unreliable) serve(p *peer) {
	for patience := time.Hour; ; patience = u.patience() {
		var state atomic.Int32
		idle := time.Now()
		closer := time.AfterFunc(patience, func() {
			if state.CompareAndSwap(connIdle, connClosed) {
				u.ended.Add(1)
				_ = p.Close()
			}
		})
		_, err := p.r.Peek(1)
		closer.Stop()
		if time.Since(idle) > patience+20*time.Millisecond {
			u.late.Store(true)
		}
		if !state.CompareAndSwap(connIdle, connBusy) || err != nil {
			return
		}
		head := p.head()
		id, err := strconv.Atoi(strings.TrimPrefix(strings.SplitN(head+"  ", " ", 3)[1], "/"))
		if err != nil {
			return
		}
		u.seen[id].Add(1)
		if u.rudely > 0 && rand.IntN(u.rudely) == 0 {
			u.rude.Add(1)
			return
		}
		body := p.body(head)
		p.write(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%d", len(strconv.Itoa(id)), id))
		if body == "" {
			return
		}
	}
}

// A request that must not be applied twice is seen once by its server when it was answered, at most once when it failed,
// and not at all when the failure says so; however the server treats its connections.
func TestPosts(t *testing.T) {
	for _, c := range []struct {
		name    string
		keeps   time.Duration
		rudely  int
		forgets bool // the client learns nothing of how long the server keeps connections
	}{
		{"idle connections are ended at any age", 0, 0, false},
		{"idle connections are ended after a while", 12 * time.Millisecond, 0, false},
		{"the client learns nothing from that", 4 * time.Millisecond, 0, true},
		{"connections are ended with unread data", 4 * time.Millisecond, 200, false},
		{"the client learns nothing from that, either", 4 * time.Millisecond, 200, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			u := &unreliable{seen: make([]atomic.Int32, *posts), keeps: c.keeps, rudely: c.rudely}
			h := testClient(t, serve(t, u.serve), Options{})
			h.lifetime.keeps.Store(c.forgets) // otherwise it has to be found out
			failures := sendPosts(t, h, u, c.forgets)
			t.Logf("%d requests; the server ended %d idle connections, and %d rudely", *posts, u.ended.Load(), u.rude.Load())
			total := 0
			for reason, n := range failures {
				total += n
				t.Logf("%6d failed: %s", n, reason)
			}
			t.Logf("%6d failed in all", total)
			switch {
			case c.rudely > 0 || c.forgets || total == 0:
			case u.late.Load() && total < len(u.seen)/100:
				t.Log("the server kept a connection for longer than it meant to, which is what the client then relied on")
			default:
				t.Errorf("%d of %d requests failed", total, *posts)
			}
		})
	}
}

// sendPosts sends every request once, and returns how many failed for which reason.
func sendPosts(t *testing.T, h *Host, u *unreliable, forgets bool) map[string]int {
	failures := make(map[string]int)
	var mu sync.Mutex
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for {
				id := int(next.Add(1)) - 1
				if id >= len(u.seen) {
					return
				}
				if rand.IntN(30) == 0 {
					time.Sleep(time.Duration(rand.IntN(10_000)) * time.Microsecond) // so that connections become idle
				}
				if forgets {
					h.lifetime.shortest.Store(0)
				}
				got := do(h, numberedPost(id))
				seen := u.seen[id].Load()
				var e *Error
				switch {
				case got.err == nil && (seen != 1 || got.body != strconv.Itoa(id)):
					t.Errorf("request %d: answered with %q, seen %d times", id, got.body, seen)
				case got.err != nil && (!errors.As(got.err, &e) || seen > 1 || e.Unseen && seen > 0):
					t.Errorf("request %d: %#v, seen %d times", id, got.err, seen)
				case got.err != nil:
					mu.Lock()
					failures[reason(e)]++
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	return failures
}

// numberedPost is a POST with a body of one of several kinds.
func numberedPost(id int) *http.Request {
	size := 10
	if id%50 == 0 {
		size = 50_000
	}
	r := post(strings.Repeat("x", size), id%3 > 0)
	if id%7 == 0 { // in more than one write
		body := strings.Repeat("y", size/2)
		r.GetBody = func() (io.ReadCloser, error) {
			return io.NopCloser(io.MultiReader(strings.NewReader(body), strings.NewReader(body))), nil
		}
		r.Body, _ = r.GetBody()
	}
	r.URL.Path = "/" + strconv.Itoa(id)
	return r
}

// reason is a failure in general terms.
func reason(e *Error) string {
	phase := map[Phase]string{Connecting: "connecting", Sending: "sending", Receiving: "receiving"}[e.Phase]
	what := "other: " + e.Err.Error()
	for text, err := range map[string]error{
		"reset": syscall.ECONNRESET, "broken pipe": syscall.EPIPE, "end": ErrClosedByServer, "cut short": io.ErrUnexpectedEOF,
	} {
		if errors.Is(e.Err, err) {
			what = text
		}
	}
	return fmt.Sprintf("%s, reused %v, unseen %v: %s", phase, e.Reused, e.Unseen, what)
}
