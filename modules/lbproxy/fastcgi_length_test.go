package lbproxy

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// FastCGI has to be told the length of a body before it. One of unknown length is read first, as far as request_buffers
// goes, and refused if it is longer.
func TestFastCGIBodyOfUnknownLength(t *testing.T) {
	const buffers = 4096
	address, asked := startFastCGI(t)
	for limit, sizes := range map[int]map[int]int{
		buffers: {1: 200, buffers - 1: 200, buffers: 200, buffers + 1: 411, 4 * buffers: 411},
		-1:      {1: 200, 100 * buffers: 200},
	} {
		p := startProxy(t, upstreams(address)+fmt.Sprintf(`,"request_buffers":%d,"transport":{"protocol":"fastcgi"}`, limit))
		for size, want := range sizes {
			before := asked.Load()
			body := strings.Repeat("x", size)
			r := p.send("POST", "/index.php", io.MultiReader(strings.NewReader(body)))
			if r.status != want {
				t.Errorf("%d bytes, request_buffers %d: status %d, want %d", size, limit, r.status, want)
			}
			if want == http.StatusOK && !strings.HasSuffix(r.body, " "+body) {
				t.Errorf("%d bytes: %d came back", size, len(r.body))
			}
			if want != http.StatusOK && asked.Load() != before {
				t.Errorf("%d bytes: the responder was asked", size)
			}
			// A length that is known needs no buffer.
			if r := p.send("POST", "/index.php", strings.NewReader(body)); r.status != http.StatusOK || !strings.HasSuffix(r.body, " "+body) {
				t.Errorf("%d bytes of known length: status %d, %d bytes came back", size, r.status, len(r.body))
			}
		}
		_ = caddy.Stop()
	}
}
