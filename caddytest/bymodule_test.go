package caddytest

import (
	"strings"
	"testing"
)

// That backends are not reached by the engine is noted once for each pool, with the pool and the
// backends, and not again by a reload that changes nothing of it.
func TestTransportIsNotedOnce(t *testing.T) {
	const config = `{
	lb_pool next {
		backend h2c://{$A}
	}
}
http://127.0.0.1:{$PORT} {
	lb_proxy /mixed {
		backend http://{$B}
		backend h2c://{$C}
	}
	lb_proxy {
		pool next
	}
}
`
	b := NewBackends(t, "A", "B", "C")
	s := Start(t, config, addresses(b...))
	noted := func(of *Backend) (n int) {
		return s.countLog(func(l LogLine) bool {
			return strings.HasPrefix(l.Text("msg"), "requests go through Caddy's http transport") && l.Text("logger") == "lb" &&
				l.Text("level") == "info" && l.Text("pool") != "" && l.Text("backends") == of.Addr && strings.Contains(l.Text("reason"), "HTTP/2")
		})
	}
	s.mustReload(config + "\n# an edit elsewhere\n")
	s.mustReload(strings.Replace(config, "\tlb_proxy {", "\theader X-Edit 1\n\tlb_proxy {", 1))
	for i, want := range []int{1, 0, 1} {
		if n := noted(b[i]); n != want {
			t.Errorf("%s was noted %d times, want %d", b[i].Name, n, want)
		}
	}
	if n := s.countLog(func(l LogLine) bool { return strings.Contains(l.Text("msg"), "http transport") }); n != 2 {
		t.Errorf("%d notes, want one for each pool", n)
	}
}
