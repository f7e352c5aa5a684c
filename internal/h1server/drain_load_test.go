package h1server

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// tester sends requests on a connection, as long as it is allowed to, and on another one then.
type tester struct {
	site *site
	c    *client
	last *atomic.Int64 // answers that ended their connection
}

// ask sends a request and reads the answer. An error is a request that failed.
func (s *tester) ask(t testing.TB, i int) error {
	if s.c == nil {
		s.c = s.site.dial(t)
	}
	body := fmt.Sprintf("body %d", i)
	request, want := "GET /"+body[5:]+" HTTP/1.1\r\nHost: a\r\n\r\n", "/"+body[5:]
	if i%2 == 0 {
		request, want = fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", len(body), body), "/"+body
	}
	if _, err := io.WriteString(s.c, request); err != nil {
		return err
	}
	r, err := http.ReadResponse(s.c.br, nil)
	if err != nil {
		return err
	}
	got, err := io.ReadAll(r.Body)
	if err != nil || string(got) != want {
		return fmt.Errorf("got %q, error %w, want %q", got, err, want)
	}
	if r.Close {
		if _, err := s.c.br.ReadByte(); err != io.EOF {
			return fmt.Errorf("the connection did not end: %w", err)
		}
		s.last.Add(1)
		s.c.Close()
		s.c = nil
	}
	return nil
}

// TestNoRequestFailsInDrains sends requests while one server after the other is drained: clients that obey Connection: close notice nothing.
func TestNoRequestFailsInDrains(t *testing.T) {
	const clients, drains = 24, 150
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.URL.Path)
		_, _ = io.Copy(w, r.Body)
	})
	for _, transport := range transports {
		t.Run(transport.name, func(t *testing.T) {
			site, server := adopting(t, transport.secure, handler, Options{})
			var last, asked atomic.Int64
			ctx, cancel := context.WithCancel(context.Background())
			var wg sync.WaitGroup
			for i := range clients {
				wg.Go(func() {
					s := &tester{site: site, last: &last}
					for n := i; ctx.Err() == nil; n++ {
						if err := s.ask(t, n); err != nil {
							t.Errorf("request %d of client %d: %v", n-i, i, err)
							break
						}
						asked.Add(1)
						time.Sleep(time.Duration(rand.IntN(4*i+1)) * time.Millisecond / 4) // clients are idle in between, some longer
					}
					if s.c != nil {
						s.c.Close()
					}
				})
			}
			for n := range drains {
				var limits Options
				if n%3 == 0 {
					limits = Options{IdleTimeout: time.Minute, ReadTimeout: time.Minute}
				}
				next := New(handler, limits)
				before := asked.Load()
				site.engine.Store(next)
				server.Drain(next)
				expectDrained(t, server)
				server = next
				eventually(t, "some requests", func() bool { return asked.Load() > before+10 || t.Failed() })
			}
			cancel()
			wg.Wait()
			if last.Load() < drains/2 {
				t.Errorf("only %d connections were handed over", last.Load())
			}
		})
	}
}

// The standard client repeats some requests on a new connection, but must not need to with one that obeys.
func TestStandardClientInDrains(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })
	site, server := adopting(t, false, handler, Options{})
	client := site.Client()
	var done atomic.Bool
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for !done.Load() {
				r, err := client.Post(site.URL, "a/b", io.MultiReader(strings.NewReader("bo"), strings.NewReader("dy")))
				if err != nil {
					t.Error(err)
					return
				}
				body, err := io.ReadAll(bufio.NewReader(r.Body))
				r.Body.Close()
				if err := errors.Join(err); err != nil || string(body) != "body" {
					t.Errorf("got %q, error %v", body, err)
					return
				}
			}
		})
	}
	for range 100 {
		next := New(handler, Options{})
		site.engine.Store(next)
		server.Drain(next)
		expectDrained(t, server)
		server = next
	}
	done.Store(true)
	wg.Wait()
	client.CloseIdleConnections()
}
