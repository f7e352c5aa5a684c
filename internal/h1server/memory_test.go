package h1server

import (
	"context"
	"io"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

// sink is a connection on which nothing more comes.
type sink struct{ net.Conn }

// Read implements net.Conn.
func (sink) Read([]byte) (int, error) { return 0, io.EOF }

// SetReadDeadline implements net.Conn.
func (sink) SetReadDeadline(time.Time) error { return nil }

// Whatever a client sends costs a small multiple of its length in memory, but for the first
// thousands of fields.
func TestMemoryIsInProportion(t *testing.T) {
	for _, size := range []int{16 << 10, 1 << 20} {
		t.Run(strconv.Itoa(size), func(t *testing.T) { memoryInProportion(t, size) })
	}
}

func memoryInProportion(t *testing.T, size int) {
	of := func(s string) string { return strings.Repeat(s, size/len(s)) }
	names := func(end string) string {
		var b strings.Builder
		for i := 0; b.Len() < size; i++ {
			b.WriteString(string(rune('a'+i%26)) + string(rune('a'+i/26%26)) + string(rune('a'+i/676%26)) + string(rune('a'+i/17576%26)) + end)
		}
		return b.String()
	}
	const get, post = "GET / HTTP/1.1\r\nHost: a\r\n", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
	for name, request := range map[string]string{
		"lines without a field":   get + of("a\n") + "\n",
		"shortest fields":         get + of("a:\r\n") + "\r\n",
		"fields with bare LF":     get + of("a:\n") + "\n",
		"names that differ":       get + names(":\r\n") + "\r\n",
		"32 bytes a field":        get + of("abcdefgh: ijklmnopqrstuvwxyz1234\r\n") + "\r\n",
		"folds":                   get + "a: b\r\n" + of(" c\r\n") + "\r\n",
		"folds of Host":           "GET / HTTP/1.1\r\nHost: a\r\n" + of(strings.Repeat(" ", 30)+"\r\n") + "\r\n",
		"lengths":                 post + of("Content-Length: 12345678901234567\r\n") + "\r\n0\r\n\r\n",
		"empty lines":             of("\r\n"),
		"a long line":             "GET /" + of("a"),
		"a query":                 "GET /?" + of("a&") + " HTTP/1.1\r\nHost: a\r\n\r\n",
		"escapes":                 "GET /" + of("%41") + " HTTP/1.1\r\nHost: a\r\n\r\n",
		"cookies":                 get + "Cookie: " + of("a;") + "\r\n\r\n",
		"announced trailers":      post + "Trailer: " + names(",") + "\r\n\r\n0\r\n\r\n",
		"trailers without a name": post + "\r\n0\r\n" + of("a\r\n"),
		"trailers":                post + "\r\n" + of("1\r\na\r\n") + "0\r\n" + strings.Repeat("a:\r\n", 1000) + "\r\n",
		"shortest chunks":         post + "\r\n" + of("1\r\na\r\n") + "0\r\n\r\n",
		"chunk extensions":        post + "\r\n" + of("1;b\r\na\r\n") + "0\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			s := New(http.NotFoundHandler(), Options{MaxHeaderBytes: 2 * size})
			buf := make([]byte, 4<<10)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			c := newConn(s)
			c.open(context.Background(), sink{}, []byte(request))
			if x, err := c.readRequest(); err == nil {
				_, _ = io.CopyBuffer(struct{ io.Writer }{io.Discard}, x.req.Body, buf)
			}
			runtime.ReadMemStats(&after)
			allocated := after.TotalAlloc - before.TotalAlloc
			t.Logf("%d bytes, %.1f for each that came", allocated, float64(allocated)/float64(len(request)))
			if most := 20*uint64(len(request)) + 600<<10; allocated > most {
				t.Errorf("%d bytes were allocated for %d, want at most %d", allocated, len(request), most)
			}
		})
	}
}

// A head that comes in single octets is not searched from its start with each of them.
func TestLongLinesInPiecesTakeLinearTime(t *testing.T) {
	const size = 1 << 20
	s := New(http.NotFoundHandler(), Options{MaxHeaderBytes: 2 * size})
	read := func(length int) time.Duration {
		c := newConn(s)
		c.open(context.Background(), &dripping{text: "GET /" + strings.Repeat("a", length), drip: 20_000}, nil)
		began := time.Now()
		_, _ = c.readRequest()
		return time.Since(began)
	}
	_ = read(1000)
	short, long := read(1000), read(size)
	t.Logf("20,000 octets behind a thousand took %v, behind a million %v", short, long)
	if long > 20*short+200*time.Millisecond {
		t.Errorf("20,000 octets behind a thousand took %v, behind a million %v", short, long)
	}
}

// dripping gives a text at once, and then single octets.
type dripping struct {
	sink
	text string
	drip int
}

// Read implements net.Conn.
func (d *dripping) Read(p []byte) (int, error) {
	if d.text != "" {
		n := copy(p, d.text)
		d.text = d.text[n:]
		return n, nil
	}
	if d.drip--; d.drip < 0 {
		return 0, io.EOF
	}
	p[0] = 'a'
	return 1, nil
}
