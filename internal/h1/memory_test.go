package h1

import (
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

// Whatever a server sends costs a small multiple of its length in memory, but for the first
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
			b.WriteString(strings.Repeat("x", 1+i%3))
			b.WriteString(string(rune('a'+i%26)) + string(rune('a'+i/26%26)) + string(rune('a'+i/676%26)) + end)
		}
		return b.String()
	}
	const ok = "HTTP/1.1 200 OK\r\n"
	for name, answer := range map[string]string{
		"lines without a field":      ok + of("a\n") + "\n",
		"shortest fields":            ok + of("a:\n"),
		"shortest fields with CR":    ok + of("a:\r\n") + "\r\n",
		"names that differ":          ok + names(":\n") + "\n",
		"32 bytes a field":           ok + of("abcdefgh: ijklmnopqrstuvwxyz1234\r\n") + "\r\n",
		"folds":                      ok + "a: b\r\n" + of(" \n") + "\r\n",
		"empty lines":                of("\n"),
		"interim answers":            of("HTTP/1.1 103 X\r\na: b\r\n\r\n"),
		"trailers without a field":   chunkedHead + "0\r\n" + of("a\n") + "\n",
		"shortest trailers":          chunkedHead + "0\r\n" + of("a:\r\n") + "\r\n",
		"trailers that differ":       chunkedHead + "0\r\n" + names(":\r\n") + "\r\n",
		"trailers that are folded":   chunkedHead + "0\r\na: b\r\n" + of(" c\r\n") + "\r\n",
		"announced trailers":         ok + "Transfer-Encoding: chunked\r\nTrailer: a\r\n" + of("Trailer: "+strings.Repeat("a,", 500)+"\r\n") + "\r\n0\r\n\r\n",
		"announced trailers, differ": ok + "Transfer-Encoding: chunked\r\nTrailer: " + names(",") + "\r\n\r\n0\r\n\r\n",
		"shortest chunks":            chunkedHead + of("1\r\na\r\n") + "0\r\n\r\n",
		"chunk extensions":           chunkedHead + of("1;b\r\na\r\n") + "0\r\n\r\n",
		"zeros before sizes":         chunkedHead + of("000000000000001\r\na\r\n") + "0\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			conn := &memConn{data: []byte(answer)}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			doMem(conn, get(http.MethodGet))
			runtime.ReadMemStats(&after)
			allocated := after.TotalAlloc - before.TotalAlloc
			t.Logf("%d bytes, %.1f for each that came", allocated, float64(allocated)/float64(len(answer)))
			if most := 20*uint64(len(answer)) + 600<<10; allocated > most {
				t.Errorf("%d bytes were allocated for %d, want at most %d", allocated, len(answer), most)
			}
		})
	}
}
