package h1

import (
	"bytes"
	"fmt"
	"net/http"
	"reflect"
	"testing"
)

// FuzzChunked holds that the pieces in which a chunked body comes change nothing of it, and that whatever is sent in
// chunks comes out again.
func FuzzChunked(f *testing.F) {
	for _, s := range []string{
		"0\r\n\r\n", "3\r\nabc\r\n0\r\n\r\n", "3;x=\"y z\"\r\nabc\r\n00a \r\n0123456789\r\n0;end\r\nA: 1\r\nB: 2\r\n\r\n",
		"2\nok\r\n0\r\n\r\n", "2\r\nokay\r\n0\r\n\r\n", "7fffffffffffffff\r\nabc", "0\r\n\n", "0\r\nA: 1\n\n", "1\r\nx\r\n0\r\nA: 1\r\n 2\r\n\r\nmore",
	} {
		f.Add([]byte(s), []byte{0})
		f.Add([]byte(s), []byte{2, 0, 9})
	}
	f.Fuzz(func(t *testing.T, data, pieces []byte) {
		if len(data) > 100_000 {
			return
		}
		whole, keeps := readChunks(data, nil)
		parts, keepsParts := readChunks(data, pieces)
		if whole.body != parts.body || fmt.Sprint(whole.err) != fmt.Sprint(parts.err) || keeps != keepsParts {
			t.Fatalf("whole: %q, %v, %v; in pieces: %q, %v, %v", whole.body, whole.err, keeps, parts.body, parts.err, keepsParts)
		}
		if whole.err == nil && !reflect.DeepEqual(whole.x.Response.Trailer, parts.x.Response.Trailer) {
			t.Fatalf("trailers: %q; in pieces %q", whole.x.Response.Trailer, parts.x.Response.Trailer)
		}
		if again, keeps := readChunks(inChunks(data, pieces), pieces); again.body != string(data) || again.err != nil || !keeps {
			t.Fatalf("%q became %q, %v, %v", data, again.body, again.err, keeps)
		}
	})
}

func readChunks(chunks, pieces []byte) (result, bool) {
	return doMem(&memConn{data: append([]byte(chunkedHead), chunks...), pieces: pieces}, get(http.MethodGet))
}

// inChunks is data in chunks of the given sizes.
func inChunks(data, sizes []byte) []byte {
	var b bytes.Buffer
	for i := 0; len(data) > 0; i++ {
		n := len(data)
		if len(sizes) > 0 {
			n = min(n, int(sizes[i%len(sizes)])+1)
		}
		fmt.Fprintf(&b, "%x\r\n%s\r\n", n, data[:n])
		data = data[n:]
	}
	b.WriteString("0\r\n\r\n")
	return b.Bytes()
}
