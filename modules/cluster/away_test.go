package cluster

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddylb/caddy-lb/lb"
)

var generous = lb.Limit{Events: 1_000_000, Window: time.Second, Burst: 1_000_000}

// hammer takes from several goroutines until it is told to stop, and returns what became of it.
type hammer struct {
	stop            atomic.Bool
	workers         sync.WaitGroup
	answers, errors atomic.Int64
	longest         atomic.Int64 // of a Take, in nanoseconds
	inErrors        atomic.Int64 // time spent in those that failed
}

func newHammer(t *testing.T, s *shared) *hammer {
	h := new(hammer)
	for range 8 {
		h.workers.Go(func() {
			for !h.stop.Load() {
				began := time.Now()
				_, err := s.Take(context.Background(), "k", generous)
				took := int64(time.Since(began))
				for longest := h.longest.Load(); took > longest && !h.longest.CompareAndSwap(longest, took); longest = h.longest.Load() {
				}
				if err == nil {
					h.answers.Add(1)
					continue
				}
				h.errors.Add(1)
				h.inErrors.Add(took)
				time.Sleep(100 * time.Microsecond) // what a request does besides
			}
		})
	}
	t.Cleanup(h.end)
	return h
}

func (h *hammer) end() {
	h.stop.Store(true)
	h.workers.Wait()
}

func (h *hammer) answered(t *testing.T, what string) {
	t.Helper()
	before := h.answers.Load()
	eventually(t, what, func() bool { return h.answers.Load() > before+100 })
}

// The slack is for a machine that is busy: it is added where time is measured.
const slack = 400 * time.Millisecond

func TestRedisDiesUnderLoad(t *testing.T) {
	r := startRedis(t)
	s := instance(t, Options{URL: r.url(), Timeout: caddy.Duration(100 * time.Millisecond)})
	h := newHammer(t, s)
	for range 2 {
		h.answered(t, "Redis answers")
		r.stop()
		eventually(t, "Redis is known to be away", func() bool { return s.client.open.Load() == nil })
		errs, spent := h.errors.Load(), h.inErrors.Load()
		eventually(t, "Takes fail", func() bool { return h.errors.Load() > errs+1000 })
		if each := time.Duration((h.inErrors.Load() - spent) / (h.errors.Load() - errs)); each > time.Millisecond {
			t.Errorf("while Redis is away a Take needs %s to fail", each)
		}
		r.start()
	}
	h.answered(t, "Redis is back")
	h.end()
	if longest := time.Duration(h.longest.Load()); longest > 100*time.Millisecond+slack {
		t.Errorf("the longest Take blocked for %s", longest)
	}
}

func TestRedisFreezesUnderLoad(t *testing.T) {
	r := startRedis(t)
	const timeout = 100 * time.Millisecond
	s := instance(t, Options{URL: r.url(), Timeout: caddy.Duration(timeout)})
	h := newHammer(t, s)
	h.answered(t, "Redis answers")
	r.freeze()
	defer r.thaw()
	eventually(t, "Redis is known to be away", func() bool { return s.client.open.Load() == nil })
	began := time.Now()
	if _, err := s.Take(t.Context(), "k", generous); !isAway(err) || time.Since(began) > slack {
		t.Errorf("with an open circuit a Take ended after %s: %v", time.Since(began), err)
	}
	r.thaw()
	h.answered(t, "Redis is back")
	h.end()
	if longest := time.Duration(h.longest.Load()); longest > timeout+slack {
		t.Errorf("the longest Take blocked for %s", longest)
	}
	if s.client.failures[causeTimeout].Load() == 0 {
		t.Error("no timeout was counted")
	}
}

func TestRedisThatRefuses(t *testing.T) {
	r := startRedis(t)
	s := instance(t, patient(r))
	// A server without room takes no writes, though it answers.
	r.must("CONFIG", "SET", "maxmemory", "1")
	eventually(t, "a Redis that refuses is away", func() bool {
		_, err := s.Take(t.Context(), "k", generous)
		return isAway(err)
	})
	r.must("CONFIG", "SET", "maxmemory", "0")
	eventually(t, "it is back", func() bool {
		_, err := s.Take(t.Context(), "k", generous)
		return err == nil
	})
}

func TestCallersMayLeave(t *testing.T) {
	r := startRedis(t)
	s := instance(t, patient(r))
	r.freeze()
	defer r.thaw()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	began := time.Now()
	if _, err := s.Take(ctx, "k", generous); err == nil || time.Since(began) > patience/10 {
		t.Errorf("a Take whose caller left ended after %s: %v", time.Since(began), err)
	}
	r.thaw()
	if _, err := s.Take(t.Context(), "k", generous); err != nil {
		t.Error(err)
	}
	if s.client.failures[causeCanceled].Load() != 1 {
		t.Error("it is not counted as canceled")
	}
}

// hostile accepts connections and answers every command with the same bytes, over and over.
func hostile(t *testing.T, answer string) *target {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var conns sync.WaitGroup
	t.Cleanup(func() {
		ln.Close()
		conns.Wait()
	})
	conns.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			conns.Go(func() {
				defer conn.Close()
				buf := make([]byte, 4096)
				for {
					if _, err := conn.Read(buf); err != nil {
						return
					}
					if _, err := conn.Write([]byte(answer)); err != nil {
						return
					}
				}
			})
		}
	})
	target, err := (&Options{URL: "redis://" + ln.Addr().String(), Timeout: caddy.Duration(time.Second)}).target()
	if err != nil {
		t.Fatal(err)
	}
	return target
}

func TestHostileServers(t *testing.T) {
	for name, answer := range map[string]string{
		"HTTP":               "HTTP/1.1 400 Bad Request\r\n\r\n",
		"a huge string":      "$2147483647\r\n",
		"a huge array":       "*2147483647\r\n",
		"a number overflow":  "$99999999999999999999\r\n",
		"leading zeros":      "$" + repeated("0", maxReplyHead) + "999999999\r\n",
		"deep arrays":        repeated("*1\r\n", 100_000),
		"a line without end": "+" + repeated("x", 1<<20),
		"too many answers":   "+OK\r\n+OK\r\n+OK\r\n+OK\r\n",
		"nothing":            "",
		"another type":       "+OK\r\n",
		"null":               "$-1\r\n",
		"a short array":      "*2\r\n:1\r\n:1\r\n",
		"strings":            "*4\r\n+1\r\n+1\r\n+1\r\n+1\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			c := newClient(hostile(t, answer))
			defer func() { _ = c.Destruct() }()
			_ = c.firstAnswer(t.Context())
			s := &shared{client: c}
			began := time.Now()
			taken, err := s.Take(t.Context(), "k", generous)
			if err == nil {
				t.Errorf("the answer is taken for %+v", taken)
			}
			if took := time.Since(began); took > time.Second+slack {
				t.Errorf("the Take ended after %s", took)
			}
		})
	}
}

func repeated(s string, n int) string {
	b := make([]byte, 0, len(s)*n)
	for range n {
		b = append(b, s...)
	}
	return string(b)
}

func TestAnswersOutOfRange(t *testing.T) {
	c := newClient(hostile(t, "*4\r\n:1\r\n:9223372036854775807\r\n:-5\r\n:9223372036854775807\r\n"))
	defer func() { _ = c.Destruct() }()
	eventually(t, "the server passes for a Redis", func() bool { return c.open.Load() != nil })
	s := &shared{client: c}
	taken, err := s.Take(t.Context(), "k", lb.Limit{Events: 7, Window: time.Second, Burst: 3})
	if want := (lb.Taken{Allowed: true, Remaining: 7, Reset: maxSpan}); err != nil || taken != want {
		t.Errorf("got %+v, %v", taken, err)
	}
}
