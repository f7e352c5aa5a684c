package h1server

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"
)

// FuzzChunked holds that the pieces in which a body comes change nothing of it, that what is taken
// is taken by net/http, too, with the same content and end, and that lines end with CRLF.
func FuzzChunked(f *testing.F) {
	for _, s := range []string{
		"0\r\n\r\n", "3\r\nabc\r\n0\r\n\r\nGET /", "3;x=\"y z\"\r\nabc\r\n00a \r\n0123456789\r\n0;end\r\nA: 1\r\na: 2\r\n\r\n", "4 ;a\r\nbody\r\n0\r\n\r\n",
		"2\nok\r\n0\r\n\r\n", "2\r\nokay\r\n0\r\n\r\n", "7fffffffffffffff\r\nabc", "0\r\n\n", "0\r\nA: 1\n\n", "0\r\nA: 1\r\n 2\r\n\r\n", "0\r\n A: 1\r\n\r\n", "0\r\nA : 1\r\n\r\n",
	} {
		f.Add([]byte(s), []byte{0})
		f.Add([]byte(s), []byte{2, 0, 9})
	}
	f.Fuzz(func(t *testing.T, data, pieces []byte) {
		if len(data) > 50_000 {
			return
		}
		whole, parts := readFuzzed(data, nil), readFuzzed(data, pieces)
		if whole.body != parts.body || whole.good != parts.good || whole.good && (!reflect.DeepEqual(whole.trailer, parts.trailer) || whole.used != parts.used) {
			t.Fatalf("whole: %+v; in pieces: %+v", whole, parts)
		}
		if !whole.good {
			return
		}
		taken := string(data[:whole.used])
		if bare := strings.ReplaceAll(strings.ReplaceAll(taken, "\r\n", ""), whole.body, ""); whole.body == "" && strings.ContainsAny(bare, "\n") {
			t.Fatalf("a bare LF was taken: %q", taken)
		}
		br := bufio.NewReader(io.MultiReader(strings.NewReader(chunkedHead), bytes.NewReader(data)))
		r, err := http.ReadRequest(br)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			if strings.Contains(taken, " ;") || strings.Contains(taken, "\t;") {
				return // white space before an extension, which net/http refuses (RFC 9112, section 7.1.1)
			}
			t.Fatalf("net/http refuses %q: %v", taken, err)
		}
		if rest, _ := io.ReadAll(br); string(body) != whole.body || len(data)-len(rest) != whole.used {
			t.Fatalf("net/http takes %d bytes with %q of %q, not %d with %q", len(data)-len(rest), body, data, whole.used, whole.body)
		}
	})
}

type fuzzedBody struct {
	body    string
	good    bool
	used    int
	trailer http.Header
}

func readFuzzed(data, pieces []byte) fuzzedBody {
	c := newConn(New(nil, Options{}))
	source := &pieced{data: data, pieces: pieces}
	c.open(context.Background(), source, nil)
	x := c.newExchange()
	x.req.ContentLength = -1
	x.setBody()
	body, err := io.ReadAll(x.req.Body)
	return fuzzedBody{string(body), err == nil, len(data) - len(source.data) - c.br.Buffered(), x.req.Trailer}
}

// pieced is a connection on which data comes in pieces of the given sizes less one.
type pieced struct {
	sink
	data, pieces []byte
	n            int
}

// Read implements net.Conn.
func (c *pieced) Read(p []byte) (int, error) {
	if len(c.data) == 0 {
		return 0, io.EOF
	}
	if len(c.pieces) > 0 {
		p = p[:min(len(p), int(c.pieces[c.n%len(c.pieces)])+1)]
		c.n++
	}
	n := copy(p, c.data)
	c.data = c.data[n:]
	return n, nil
}

// SetReadDeadline implements net.Conn.
func (c *pieced) SetReadDeadline(time.Time) error { return nil }
