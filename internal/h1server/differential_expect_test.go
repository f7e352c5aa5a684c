package h1server

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// expecting is a head whose client waits to be told to send the body.
const expecting = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"

func TestExpectations(t *testing.T) {
	early := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("A", "b")
			w.WriteHeader(status)
			echo(w, r)
		}
	}
	compare(t, []script{
		{name: "body read", answers: 2, steps: []string{expecting, "<100 Continue\r\n\r\n", "body", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"}},
		{name: "body sent at once", steps: []string{expecting + "body"}},
		{name: "in other letters", steps: []string{strings.Replace(expecting, "100-continue", "100-Continue", 1), "<100 Continue\r\n\r\n", "body"}},
		{name: "chunks", steps: []string{head("POST / HTTP/1.1", "Host: a", "Expect: 100-continue", "Transfer-Encoding: chunked"), "<100 Continue\r\n\r\n", "4\r\nbody\r\n0\r\n\r\n"}},
		{name: "HTTP/1.0", steps: []string{"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\nbody"}},
		{name: "not read", handler: text, steps: []string{expecting, "<text"}},
		{name: "not read but sent", handler: text, steps: []string{expecting + "body", "<text"}},
		{name: "nothing read nor written", handler: func(http.ResponseWriter, *http.Request) {}, steps: []string{expecting, "<\r\n\r\n"}},
		{name: "answered early", handler: early(200), steps: []string{expecting + "body"}},
		{name: "read in part", steps: []string{expecting, "<100 Continue\r\n\r\n", "body"}, handler: func(w http.ResponseWriter, r *http.Request) {
			_, _ = r.Body.Read(make([]byte, 2))
			text(w, r)
		}},
		{name: "told by the handler", handler: early(100), steps: []string{expecting, "<100 Continue\r\nA: b\r\n\r\n", "body"}},
		{name: "hints first", handler: early(103), steps: []string{expecting, "<103 Early Hints\r\nA: b\r\n\r\n", "<100 Continue\r\n\r\n", "body"}},
		{name: "closed unread", steps: []string{expecting + "body", "<text"}, handler: func(w http.ResponseWriter, r *http.Request) {
			r.Body.Close()
			text(w, r)
		}},
		{name: "unknown, with a body", steps: []string{head("POST / HTTP/1.1", "Host: a", "Expect: foo", "Content-Length: 4") + "body"}},
		{name: "unknown, HEAD", steps: []string{head("HEAD / HTTP/1.1", "Host: a", "Expect: foo")}},
		{name: "two fields", steps: []string{head("POST / HTTP/1.1", "Host: a", "Expect: foo", "Expect: 100-continue", "Content-Length: 4") + "body"}},
		{name: "full duplex", handler: duplex, steps: []string{expecting, "<early", "body"}},
		{name: "panic", handler: func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, steps: []string{expecting + "body"}},
	})
}

// duplex answers before it reads.
func duplex(w http.ResponseWriter, r *http.Request) {
	c := http.NewResponseController(w)
	if err := c.EnableFullDuplex(); err != nil {
		panic(err)
	}
	_, _ = io.WriteString(w, "early")
	_ = c.Flush()
	echo(w, r)
}

func TestFullDuplex(t *testing.T) {
	unread := func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		text(w, r)
	}
	goesOn := func(theirs string) string { return strings.TrimSuffix(theirs, finalAnswer) + finalAnswer }
	post := head("POST / HTTP/1.1", "Host: a", "Content-Length: 4")
	compare(t, []script{
		{name: "answer first", handler: duplex, steps: []string{post, "<early", "body"}},
		{name: "answer and chunks", handler: duplex, steps: []string{chunkedHead, "<early", "4\r\nbody\r\n", "0\r\nA: b\r\n\r\n"}},
		{name: "never read", handler: unread, steps: []string{post, "<text", "body"}, mend: goesOn, why: "net/http reads twice at a time then, and panics"},
		{name: "never read, large", handler: unread, steps: []string{head("POST / HTTP/1.1", "Host: a", "Content-Length: 1000000"), "<text", strings.Repeat("b", 1000000)}},
		{name: "known length", steps: []string{post, "<\r\n\r\n", "body"}, handler: func(w http.ResponseWriter, r *http.Request) {
			c := http.NewResponseController(w)
			_ = c.EnableFullDuplex()
			w.Header().Set("Content-Type", "a/b")
			w.Header().Set("Content-Length", "4")
			w.WriteHeader(200)
			_ = c.Flush()
			_, _ = io.Copy(w, r.Body)
		}},
	})
}
