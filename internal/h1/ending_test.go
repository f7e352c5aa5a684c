package h1

import (
	"strings"
	"sync/atomic"
	"testing"
)

// Requests with bodies, one after the other, share a connection: it is free for the next one when
// the answer has ended.
func TestRequestsInTurnShareAConnection(t *testing.T) {
	for name, answer := range map[string]string{
		"length":  "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
		"chunked": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
		"no body": "HTTP/1.1 204 No Content\r\n\r\n",
	} {
		for _, known := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				var accepted atomic.Int32
				h := testClient(t, serve(t, func(p *peer) {
					accepted.Add(1)
					for {
						head := p.head()
						if head == "" {
							return
						}
						p.body(head)
						p.write(answer)
					}
				}), Options{})
				for range 3000 {
					r := do(h, post(strings.Repeat("x", 100), known))
					if r.err != nil {
						t.Fatal(r.err)
					}
				}
				// A machine may let nobody run who should.
				if n := accepted.Load(); n > 2 {
					t.Errorf("requests in turn were sent on %d connections", n)
				}
				eventually(t, "no exchange ends any more", func() bool { return h.ending.Load() == 0 })
			})
		}
	}
}
