package lbproxy

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
)

// doorListener closes what connects until it is open.
type doorListener struct {
	net.Listener
	open atomic.Bool
}

func (l *doorListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil || l.open.Load() {
			return c, err
		}
		_ = c.Close()
	}
}

// A request that is tried again goes by the transport of the configuration that runs, however many there were meanwhile.
func TestRetryTakesTheTransportOfTheLatestReload(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.TLS != nil) }))
	door := &doorListener{Listener: s.Listener}
	s.Listener, s.TLS = door, new(tls.Config)
	s.StartTLS()
	t.Cleanup(s.Close)
	config := func(transport string) string {
		return upstreams(door.Addr().String()) +
			`,"verbose_logs":true,"load_balancing":{"try_duration":"1h","try_interval":"5ms"},"transport":{"protocol":"http"` + transport + `}`
	}
	debug := serverOptions{log: `"level":"DEBUG"`}
	p := startProxy(t, config(""), debug)
	got := p.goGet("/")
	eventually(t, "retry", func() bool { return retries() > 0 })
	p.load(config(`,"dial_timeout":"1s"`), debug)
	before := retries()
	eventually(t, "retry by the first reload", func() bool { return retries() > before+1 })
	p.load(config(`,"tls":{"insecure_skip_verify":true}`), debug)
	door.open.Store(true)
	if r := <-got; r.status != http.StatusOK || r.body != "true" {
		t.Errorf("status %d: %s", r.status, r.body)
	}
}
