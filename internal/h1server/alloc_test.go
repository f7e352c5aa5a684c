package h1server

import (
	"io"
	"net/http"
	"testing"
)

const keepAliveRequest = "GET /a?b=c HTTP/1.1\r\nHost: example.com\r\nUser-Agent: a\r\nAccept: */*\r\n\r\n"

var fixedType, fixedBody = []string{"text/plain"}, []byte("hello, world")

// fixed answers without an allocation.
func fixed(w http.ResponseWriter, _ *http.Request) {
	w.Header()["Content-Type"] = fixedType
	_, _ = w.Write(fixedBody)
}

// exchanges makes a function that sends a request and reads its answer, without an allocation.
func (c *client) exchanges() func() {
	c.send(keepAliveRequest)
	buf := make([]byte, 4<<10)
	n, err := c.br.Read(buf) // an answer of this size comes in one piece
	if err != nil {
		c.t.Fatal(err)
	}
	buf, request := buf[:n], []byte(keepAliveRequest)
	return func() {
		if _, err := c.Write(request); err != nil {
			c.t.Fatal(err)
		}
		if _, err := io.ReadFull(c.br, buf); err != nil {
			c.t.Fatal(err)
		}
	}
}

func TestAllocationsOfARequest(t *testing.T) {
	const most = 13
	site, _ := adopting(t, false, http.HandlerFunc(fixed), Options{})
	if n := testing.AllocsPerRun(500, site.dialAdopted(t).exchanges()); n > most {
		t.Errorf("a request takes %v allocations, more than %d", n, most)
	} else {
		t.Logf("a request takes %v allocations", n)
	}
}

func BenchmarkKeepAlive(b *testing.B) {
	for _, name := range []string{"adopted", "net-http"} {
		b.Run(name, func(b *testing.B) {
			var engine *Server
			if name == "adopted" {
				engine = New(http.HandlerFunc(fixed), Options{})
			}
			site := newSite(b, false, engine, http.HandlerFunc(fixed))
			c := site.dial(b)
			exchange := c.exchanges()
			b.ReportAllocs()
			for b.Loop() {
				exchange()
			}
			c.Close()
		})
	}
}
