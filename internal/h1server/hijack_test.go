package h1server

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// hijacked makes a handler that takes the connection over and closes it when f is done.
func hijacked(f func(net.Conn, *bufio.ReadWriter)) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		nc, rw, err := w.(http.Hijacker).Hijack()
		if err != nil {
			panic(err)
		}
		defer nc.Close()
		f(nc, rw)
		_ = rw.Flush()
	}
}

// switching writes that the protocol changes, and then what the client says.
func switching(nc net.Conn, rw *bufio.ReadWriter) {
	_, _ = io.WriteString(nc, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: a\r\n\r\n")
	_, _ = io.Copy(rw, rw.Reader)
}

const upgrade = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: a\r\n\r\n"

func TestHijack(t *testing.T) {
	line := func(_ net.Conn, rw *bufio.ReadWriter) {
		s, err := rw.ReadString('\n')
		_, _ = fmt.Fprintf(rw, "%q %v", s, err)
	}
	after := func(first http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { first(w, r); hijacked(line)(w, r) }
	}
	compare(t, []script{
		{name: "switch", handler: hijacked(switching), steps: []string{upgrade, "<101", "hello"}, half: true},
		{name: "sent ahead", handler: hijacked(switching), steps: []string{upgrade + "ahead", "<101", "hello"}, half: true},
		{name: "much sent ahead", handler: hijacked(switching), steps: []string{upgrade + strings.Repeat("ahead ", 10000), "<101", "hello"}, half: true},
		{name: "other protocol", handler: hijacked(line), steps: []string{"GET / HTTP/1.1\r\nHost: a\r\n\r\nline\n"}, half: true},
		{name: "with body", handler: hijacked(line), steps: []string{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nbody\n"}, half: true},
		{name: "connect", handler: hijacked(line), steps: []string{"CONNECT b:80 HTTP/1.1\r\n\r\nline\n"}, half: true},
		{name: "after 101", handler: after(with(101, "", "Upgrade", "a", "Connection", "Upgrade")), steps: []string{upgrade, "<\r\n\r\n", "line\n"}, half: true},
		{name: "after status", handler: after(with(200, "")), steps: []string{"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "<\r\n\r\n", "line\n"}, half: true},
		{
			name: "after text", handler: after(text), steps: []string{"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "<\r\n\r\n", "line\n"}, half: true,
			mend: replaced("Date: now", "Content-Type: text/plain; charset=utf-8\nDate: now"), why: "the type is known of a text that is lost",
		},
		{name: "after flush", handler: after(func(w http.ResponseWriter, r *http.Request) { text(w, r); _ = http.NewResponseController(w).Flush() }), steps: []string{"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "<text", "line\n"}, half: true},
		{name: "panic behind", handler: func(w http.ResponseWriter, r *http.Request) { hijacked(line)(w, r); panic(http.ErrAbortHandler) }, steps: []string{upgrade + "line\n"}, half: true},
		{name: "expectation", handler: hijacked(line), steps: []string{expecting + "body\n"}, half: true},
		{name: "use behind", handler: func(w http.ResponseWriter, r *http.Request) {
			hijacked(func(_ net.Conn, rw *bufio.ReadWriter) {
				w.WriteHeader(500)
				n, err := w.Write([]byte("b"))
				_, _, again := w.(http.Hijacker).Hijack()
				_, _ = fmt.Fprintf(rw, "%v %v %v", n, errors.Is(err, http.ErrHijacked), errors.Is(again, http.ErrHijacked))
			})(w, r)
		}, steps: []string{upgrade}, half: true},
	})
}

// What the client sends while the handler thinks about it is read by the watch. The buffer is as full as can be.
func TestHijackAfterReadingAhead(t *testing.T) {
	h := newWatched()
	site, s := adopting(t, false, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/first" {
			return
		}
		h.ServeHTTP(discarder{w}, r)
		hijacked(func(nc net.Conn, rw *bufio.ReadWriter) {
			_, _ = fmt.Fprintf(nc, "%d ", rw.Reader.Buffered())
			_, _ = io.Copy(nc, rw)
		})(w, r)
	}), Options{})
	c := site.dialAdopted(t)
	sc := only(t, s)
	const request = "GET /held HTTP/1.1\r\nHost: a\r\n\r"
	ahead := strings.Repeat("a", readBufferSize-1)
	waits := func() bool {
		sc.mu.Lock()
		defer sc.mu.Unlock()
		return sc.waiting
	}
	eventually(t, "a request is awaited", waits)
	c.send(request)
	eventually(t, "the rest of the request is", func() bool { return !waits() })
	c.send("\n" + ahead)
	<-h.entered
	eventually(t, "the client is watched", sc.isWatched)
	c.send("b")
	eventually(t, "something is read ahead", func() bool { return !sc.isWatched() })
	close(h.open)
	c.closeWrite()
	got, err := io.ReadAll(c.br)
	if want := fmt.Sprintf("%d %sb", readBufferSize, ahead); err != nil || string(got) != want {
		t.Fatalf("got %d octets, %.10q, error %v, want %d", len(got), got, err, len(want))
	}
}

// discarder writes nothing.
type discarder struct{ http.ResponseWriter }

// Write implements io.Writer.
func (discarder) Write(p []byte) (int, error) { return len(p), nil }
