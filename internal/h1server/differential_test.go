package h1server

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// script is what a client does on a connection that was used before, and who answers it.
type script struct {
	name    string
	handler http.HandlerFunc // nil for echo
	steps   []string         // to be sent; what begins with "<" is to come from the server before it goes on
	octets  bool             // are sent one by one
	half    bool             // the client ends with half-closing the connection, instead of with another request
	answers int              // that are awaited before; 0 for one

	// Where a server of net/http does not do what is right: how to mend its answers, and why.
	mend func(theirs string) string
	why  string

	like http.HandlerFunc // the handler of which net/http's answer is right here
}

// final is the request that scripts end with, to see whether the connection is open. It closes it.
const (
	finalPath    = "/final"
	finalRequest = "GET " + finalPath + " HTTP/1.1\r\nHost: a\r\n\r\n"
	finalAnswer  = "HTTP/1.1 200 OK\nConnection: close\nContent-Length: 5\nContent-Type: text/plain; charset=utf-8\nDate: now\nbody \"final\"\n"
)

// stage is the handler of the servers that are compared.
type stage struct {
	current atomic.Pointer[http.HandlerFunc]
}

// ServeHTTP implements http.Handler.
func (s *stage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodHead {
		name, value, _ := strings.Cut(headMark, ": ")
		w.Header().Set(name, value)
	}
	switch r.URL.Path {
	case "/first":
		_, _ = io.WriteString(w, "first")
	case finalPath:
		w.Header().Set("Connection", "close")
		_, _ = io.WriteString(w, "final")
	default:
		(*s.current.Load())(w, r)
	}
}

// play plays the script and returns all that the server sent, until the connection's end.
func (s script) play(t *testing.T, c *client) []byte {
	var mu sync.Mutex
	var got []byte
	var over bool
	var fresh atomic.Bool
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		buf := make([]byte, 32<<10)
		for {
			n, err := c.br.Read(buf)
			mu.Lock()
			got, over = append(got, buf[:n]...), err != nil
			mu.Unlock()
			fresh.Store(true)
			if err != nil {
				if isTimeout(err) {
					t.Error("the server neither answers nor closes the connection")
				}
				return
			}
		}
	}()
	seen := 0
	for _, step := range s.steps {
		if awaited, ok := strings.CutPrefix(step, "<"); ok {
			eventually(t, "the server sends "+awaited, func() bool {
				mu.Lock()
				defer mu.Unlock()
				at := strings.Index(string(got[seen:]), awaited)
				if at >= 0 {
					seen += at + len(awaited)
				}
				return at >= 0
			})
			continue
		}
		s.send(c, step)
	}
	if s.half {
		c.closeWrite()
	} else {
		// Whoever closes a connection on which something arrives may lose what it has sent.
		eventually(t, "an answer, or the connection's end", func() bool {
			if !fresh.Swap(false) {
				return false
			}
			mu.Lock()
			defer mu.Unlock()
			return over || wholeAnswers(got) >= max(s.answers, 1)
		})
		_, _ = io.WriteString(c, finalRequest)
	}
	<-ended
	c.Close()
	return got
}

// send may fail, as the server may have closed the connection already.
func (s script) send(c *client, text string) {
	if !s.octets {
		_, _ = io.WriteString(c, text)
		return
	}
	for i := range len(text) {
		_, _ = io.WriteString(c, text[i:i+1])
	}
}

// compare plays the scripts with a server of net/http and one that takes its connections over.
func compare(t *testing.T, scripts []script) {
	for _, transport := range transports {
		t.Run(transport.name, func(t *testing.T) {
			var st stage
			const limit = 16 << 10
			engine := New(&st, Options{MaxHeaderBytes: limit})
			limited := func(s *http.Server) { s.MaxHeaderBytes = limit }
			standard := newSite(t, transport.secure, nil, &st, limited)
			ours := newSite(t, transport.secure, engine, &st, limited)
			t.Cleanup(func() { expectGone(t, engine) })
			for _, s := range scripts {
				t.Run(s.name, func(t *testing.T) {
					if s.handler == nil {
						s.handler = echo
					}
					st.current.Store(&s.handler)
					if s.like != nil {
						st.current.Store(&s.like)
					}
					c := standard.dial(t)
					c.get("/first")
					theirs := normal(s.play(t, c))
					st.current.Store(&s.handler)
					got := normal(s.play(t, ours.dialAdopted(t)))
					s.judge(t, got, theirs)
				})
			}
		})
	}
}

func (s script) judge(t *testing.T, got, theirs string) {
	t.Helper()
	switch {
	case s.why == "" && got != theirs:
		t.Errorf("got\n%s\nnet/http answers\n%s", got, theirs)
	case s.why != "" && got != s.mend(theirs):
		t.Errorf("got\n%s\nnet/http answers\n%s\nbut the right answer is, as %s,\n%s", got, theirs, s.why, s.mend(theirs))
	}
}

// replaced mends answers.
func replaced(old, right string) func(string) string {
	return func(theirs string) string { return strings.Replace(theirs, old, right, 1) }
}

// instead is another answer altogether.
func instead(answers string) func(string) string { return func(string) string { return answers } }

// closed mends answers that do not tell that the connection ends with the first of them.
func closed(theirs string) string {
	status, rest, _ := strings.Cut(theirs, "\n")
	return status + "\nConnection: close\n" + strings.TrimSuffix(rest, finalAnswer)
}
