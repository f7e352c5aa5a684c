package h1server

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// asked is a table's request of each kind that makes a difference for answers.
var asked = []struct{ name, request string }{
	{"GET", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"},
	{"HEAD", "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"},
	{"last", "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"},
	{"old", "GET / HTTP/1.0\r\n\r\n"},
	{"kept old", "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"},
	{"POST", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody"},
}

// compareAnswers has each handler answer each kind of request. Exceptions are by name of handler, or that, a space, and name of request.
func compareAnswers(t *testing.T, handlers map[string]http.HandlerFunc, exceptions map[string]script) {
	var scripts []script
	for name, h := range handlers {
		for _, a := range asked {
			s, ok := exceptions[name+" "+a.name]
			if !ok {
				s = exceptions[name]
			}
			s.name, s.handler, s.steps = name+" "+a.name, h, []string{a.request}
			scripts = append(scripts, s)
		}
	}
	compare(t, scripts)
}

// with makes a handler that sets fields, given as name and value, and writes.
func with(status int, body string, fields ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(fields); i += 2 {
			w.Header()[fields[i]] = append(w.Header()[fields[i]], fields[i+1:min(i+2, len(fields))]...)
		}
		if status != 0 {
			w.WriteHeader(status)
		}
		for i := 0; i < len(body); i += 10000 {
			_, _ = w.Write([]byte(body[i:min(i+10000, len(body))]))
		}
	}
}

func TestAnswers(t *testing.T) {
	b := strings.Repeat("b", 100000)
	const ends = "who sends close closes (RFC 9112, section 9.6)"
	unfinished := func(theirs string) string { return strings.TrimSuffix(theirs, finalAnswer) }
	compareAnswers(t, map[string]http.HandlerFunc{
		"nothing": func(http.ResponseWriter, *http.Request) {}, "small": with(0, "small"), "status": with(404, ""), "status and body": with(503, "no"),
		"2047": with(0, b[:2047]), "2048": with(0, b[:2048]), "2049": with(0, b[:2049]), "4096": with(0, b[:4096]), "large": with(0, b),
		"exact": with(0, "exact", "Content-Length", "5"), "exact with type": with(0, "exact", "Content-Length", "5", "Content-Type", "a/b"), "large exact": with(200, b, "Content-Length", itoa(len(b))), "large exact with type": with(200, b, "Content-Length", itoa(len(b)), "Content-Type", "a/b"),
		"too short": with(0, "short", "Content-Length", "6"), "too long": with(0, "longer", "Content-Length", "5"), "much too long": with(0, b, "Content-Length", "15000"), "too short with type": with(0, "short", "Content-Length", "6", "Content-Type", "a/b"), "zero": with(0, "", "Content-Length", "0"), "zero, but": with(0, "b", "Content-Length", "0"),
		"bad length": with(0, "x", "Content-Length", "x"), "negative length": with(0, "x", "Content-Length", "-1"), "empty length": with(0, "x", "Content-Length", ""), "empty length, large": with(0, b, "Content-Length", ""), "nil length": func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Length"] = nil
			_, _ = io.WriteString(w, "b")
		},
		"chunked": with(0, "b", "Transfer-Encoding", "chunked"), "identity": with(0, "b", "Transfer-Encoding", "identity"), "large identity": with(0, b, "Transfer-Encoding", "identity"), "gzip": with(0, "b", "Transfer-Encoding", "gzip"), "split by coding": with(0, "b", "Transfer-Encoding", "a\r\nB: c"),
		"chunked and length": with(0, "b", "Transfer-Encoding", "chunked", "Content-Length", "1"), "identity and length": with(0, "b", "Transfer-Encoding", "identity", "Content-Length", "1"),
		"type": with(0, "b", "Content-Type", "a/b"), "empty type": with(0, "b", "Content-Type", ""), "html": with(0, "<html>"), "encoding": with(0, "b", "Content-Encoding", "gzip"), "empty encoding": with(0, "b", "Content-Encoding", ""), "nil type": func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Type"] = nil
			_, _ = io.WriteString(w, "b")
		},
		"date": with(0, "b", "Date", "today"), "nil date": func(w http.ResponseWriter, _ *http.Request) { w.Header()["Date"] = nil },
		"204": with(204, "b"), "204 with fields": with(204, "", "Content-Length", "3", "Content-Type", "a/b", "Transfer-Encoding", "chunked"), "304": with(304, "b"), "304 with fields": with(304, "", "Content-Length", "3", "Content-Type", "a/b", "Etag", "c"), "205": with(205, ""), "205 with body": with(205, "b"), "999": with(999, "b"), "299": with(299, "b"), "101": with(101, "b", "Connection", "Upgrade", "Upgrade", "c"),
		"close": with(0, "b", "Connection", "close"), "close and more": with(0, "b", "Connection", "close, a"), "Close": with(0, "b", "Connection", "Close"), "keep-alive": with(0, "b", "Connection", "keep-alive"), "close large": with(0, b, "Connection", "close"),
		"new lines": with(0, "b", "A", "c\r\nD: e", "F", "\r\n g \r\n", "H", "i\n"), "bad names": with(0, "b", "A b", "c", "", "d", "E:", "f", "G\r\nH", "i", "J\xc3", "k"), "lower-case name": with(0, "b", "a-b", "c"), "lower-case length": with(0, "b", "content-length", "1"), "many": with(0, "b", "A", "1", "A", "2", "B", " 3 ", "C", "\t", "D", "\xff"), "more than many": many,
	}, map[string]script{
		// A length that is none is not sent (RFC 9110, section 8.6), and the other one then known.
		"bad length": {like: with(0, "x")}, "negative length": {like: with(0, "x")}, "empty length": {like: with(0, "x", "Content-Length")}, "empty length, large": {like: with(0, b, "Content-Length")},
		"close and more": {mend: unfinished, why: ends}, "Close": {mend: unfinished, why: ends},
		"chunked and length kept old": {mend: replaced("Connection: keep-alive\n", ""), why: "the length is not sent, so that the connection has to end"},
	})
	compare(t, []script{{
		name: "close in a second field", handler: with(0, "b", "Connection", "a", "Connection", "close"), steps: []string{asked[0].request}, mend: unfinished, why: ends,
	}})
}

// many sets more fields than there is room for, and a large one.
func many(w http.ResponseWriter, r *http.Request) {
	for i := range 40 {
		w.Header().Set("A"+itoa(i), itoa(i))
	}
	w.Header().Set("B", strings.Repeat("b", 10000))
	text(w, r)
}

func TestWaysOfWriting(t *testing.T) {
	b := strings.Repeat("b", 100000)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte(b[:100000]), 0o600); err != nil {
		t.Fatal(err)
	}
	copied := func(n int64, fields ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			with(0, "", fields...)(w, r)
			f, err := os.Open(file)
			if err != nil {
				panic(err)
			}
			defer f.Close()
			_, _ = io.Copy(w, io.LimitReader(f, n))
		}
	}
	flush := func(w http.ResponseWriter) { _ = http.NewResponseController(w).Flush() }
	compareAnswers(t, map[string]http.HandlerFunc{
		"flush alone":         func(w http.ResponseWriter, _ *http.Request) { flush(w) },
		"flush first":         func(w http.ResponseWriter, r *http.Request) { flush(w); text(w, r) },
		"flush last":          func(w http.ResponseWriter, r *http.Request) { text(w, r); flush(w) },
		"flush in the middle": func(w http.ResponseWriter, r *http.Request) { text(w, r); flush(w); text(w, r); flush(w); flush(w) },
		"flush, then fields":  func(w http.ResponseWriter, r *http.Request) { flush(w); w.Header().Set("A", "b"); text(w, r) },
		"status, then fields": func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(201); w.Header().Set("A", "b"); text(w, r) },
		"flush with length": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "8")
			text(w, r)
			flush(w)
			text(w, r)
		},
		"empty writes": func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write(nil)
			flush(w)
			_, _ = w.Write(nil)
			text(w, r)
			_, _ = w.Write(nil)
		},
		"many small": func(w http.ResponseWriter, r *http.Request) {
			for range 2000 {
				text(w, r)
			}
		},
		"growing": func(w http.ResponseWriter, _ *http.Request) {
			for i := range 100 {
				_, _ = io.WriteString(w, b[:i*50])
			}
		},
		"superfluous": func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(201)
			w.WriteHeader(202)
			text(w, r)
			w.WriteHeader(203)
		},
		"hints": func(w http.ResponseWriter, r *http.Request) {
			with(103, "", "Link", "a", "Content-Length", "9", "Bad name", "b")(w, r)
			w.WriteHeader(103)
			w.Header().Del("Content-Length")
			w.WriteHeader(202)
			w.WriteHeader(103)
			text(w, r)
		},
		"processing": func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(102); text(w, r) },
		"what writes return": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Trailer", "N, E")
			n, err := io.WriteString(w, b[:3000])
			w.Header().Set("N", itoa(n))
			w.Header().Set("E", fmt.Sprint(err))
		},
		"what a write returns that is too long": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			n, err := w.Write([]byte(b[:101]))
			_, _ = io.WriteString(w, itoa(n)+fmt.Sprint(err))
		},
		"file": copied(100000), "part of a file": copied(99999), "small file": copied(100), "small file with length": copied(100, "Content-Length", "100"), "file with length": copied(100000, "Content-Length", "100000"), "file with length and type": copied(100000, "Content-Length", "100000", "Content-Type", "a/b"),
		"file that is short": copied(100000, "Content-Length", "100001"), "identical file": copied(100000, "Transfer-Encoding", "identity"),
		"file without body": func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(204); copied(10)(w, r) },
		"file behind text": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "100004")
			text(w, r)
			copied(100000)(w, r)
		},
		"file before text": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "100004")
			copied(100000)(w, r)
			text(w, r)
		},
		"served file": func(w http.ResponseWriter, r *http.Request) {
			http.ServeContent(w, r, "a.txt", time.Unix(1, 0), strings.NewReader(b))
		},
		"reader": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.(io.ReaderFrom).ReadFrom(strings.NewReader(b)) },
		"small reader": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.(io.ReaderFrom).ReadFrom(strings.NewReader("small"))
		},
		"empty reader": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.(io.ReaderFrom).ReadFrom(strings.NewReader("")) },
		"redirect":     func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/b", http.StatusFound) },
		"error":        func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", 500) },
	}, nil)
}

func TestTrailers(t *testing.T) {
	late := func(fields ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			for i := 0; i < len(fields); i += 2 {
				w.Header().Add(fields[i], fields[i+1])
			}
		}
	}
	after := func(first, second http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { first(w, r); second(w, r) }
	}
	compareAnswers(t, map[string]http.HandlerFunc{
		"declared":                  after(with(0, "b", "Trailer", "A, b", "Trailer", "C"), late("A", "1", "A", "2", "B", "3", "D", "4")),
		"declared and nothing else": after(with(200, "", "Trailer", "A"), late("A", "1")), "declared, none set": with(0, "b", "Trailer", "A"),
		"forbidden": after(with(0, "b", "Trailer", "Content-Length, A"), late("Content-Length", "1", "A", "2")), "with length": after(with(0, "b", "Trailer", "A", "Content-Length", "1"), late("A", "2")),
		"prefixed": after(with(0, "b"), late(http.TrailerPrefix+"A", "1", http.TrailerPrefix+"b", "2")), "prefixed and flushed": after(with(0, strings.Repeat("b", 5000)), late(http.TrailerPrefix+"A", "1", http.TrailerPrefix+"A", "2")), "prefixed before": with(0, "b", http.TrailerPrefix+"A", "1"),
		"split": after(with(0, "b", "Trailer", "A"), late("A", "1\r\nB: 2")), "bad name": after(with(0, strings.Repeat("b", 5000)), late(http.TrailerPrefix+"A b", "1")),
		"set before and behind": after(with(0, "b", "Trailer", "A", "A", "1"), late("A", "2")), "empty": with(0, "b", "Trailer", ""), "on 204": after(with(204, "", "Trailer", "A"), late("A", "1")),
	}, nil)
}

func TestPanics(t *testing.T) {
	abort := func(value any, first http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { first(w, r); panic(value) }
	}
	handlers := make(map[string]http.HandlerFunc)
	for name, value := range map[string]any{"abort": http.ErrAbortHandler, "panic": "a word"} {
		for what, first := range map[string]http.HandlerFunc{
			"at once": func(http.ResponseWriter, *http.Request) {}, "after little": text, "after more": with(0, strings.Repeat("b", 3000)), "after much": with(0, strings.Repeat("b", 50000)),
			"after 204": with(204, ""), "after no content": with(0, "", "Content-Length", "0"), "after an error": with(500, "b"), "after known": with(200, "body", "Content-Length", "4", "Content-Type", "a/b"),
			"after hints": with(103, ""), "after a flush": func(w http.ResponseWriter, r *http.Request) { _ = http.NewResponseController(w).Flush() },
			"by status": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(99) }, "by large status": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(1000) },
		} {
			handlers[name+" "+what] = abort(value, first)
		}
	}
	compareAnswers(t, handlers, nil)
}
