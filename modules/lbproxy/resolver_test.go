package lbproxy

import (
	"fmt"
	"strings"
	"testing"
)

// Names are looked up with the transport's DNS servers where the pool has none of its own, and
// errors tell who was asked.
func TestLookupsAskTheConfiguredServers(t *testing.T) {
	b := startBackend(t, text("here"))
	port := portOf(t, b.Listener.Addr().String())
	z := startZone(t)
	z.set("app.test. A", "A 127.0.0.1")
	config := func(name string) string {
		return upstreams(name+":"+port) + fmt.Sprintf(`,"update_frequency":"10ms","transport":{"protocol":"http","resolver":{"addresses":["udp/%s"]}}`, z.address)
	}
	p := startProxy(t, config("app.test"))
	if r := p.get("/"); r.body != "here" {
		t.Errorf("status %d: %s", r.status, r.body)
	}
	err := p.tryLoad(config("nobody.test"))
	if err == nil || !strings.Contains(err.Error(), "on "+z.address) || !strings.Contains(err.Error(), "resolvers") {
		t.Errorf("the error names neither the server that was asked nor the option: %v", err)
	}

	// A name may have very many addresses.
	records := []string{"A 127.0.0.1"}
	for i := range 12 {
		records = append(records, fmt.Sprintf("A 127.0.1.%d", i+1))
	}
	z.set("app.test. A", records...)
	line := logLine(t, "name resolves to other addresses")
	for _, want := range []string{`"came":12`, `"went":0`, `"addresses":13`} {
		if !strings.Contains(line, want) {
			t.Errorf("no %s in %s", want, line)
		}
	}
	if n := strings.Count(line, "127.0.1."); n != maxToldAddresses {
		t.Errorf("the line has %d addresses, want %d", n, maxToldAddresses)
	}
	z.set("app.test. A", "A 127.0.0.1")
	logLine(t, "name resolves to other addresses", `"went":12`)
}
