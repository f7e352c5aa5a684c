package caddytest

import (
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quic-go/quic-go/http3"
)

// endsSites serves the backends of the table, over every version of HTTP, to clients over every
// version of HTTP.
const endsSites = `{
	skip_install_trust
	auto_https disable_redirects
	grace_period 5s
	{$CLIENTS}
	servers {
		protocols h1 h2 h2c h3
	}
}
(routes) {
	log
	lb_proxy /h1/* {$H1} {
		{$OPTIONS}
	}
	lb_proxy /h2c/* h2c://{$H2C} {
		{$OPTIONS}
	}
	lb_proxy /h2/* https://{$H2} {
		{$OPTIONS}
		transport http {
			tls_trust_pool file {$CA}
		}
	}
}
http://127.0.0.1:{$PORT} {
	import routes
}
https://localhost:{$PORT2} {
	tls internal
	import routes
}
`

// endsWorkers is how many cells are under way at once. They mostly wait.
const endsWorkers = 32

// heldFor is how long a client waits that is to get nothing.
const heldFor = 100 * time.Millisecond

// endsWay is a client of one version of HTTP, and a backend of one.
type endsWay struct {
	name    string
	url     string // up to the cell
	client  endsClient
	backend *endsBackend
}

// startEndsSites runs the server and returns all ways through it.
func startEndsSites(t *testing.T, clients, options string, fronts ...string) (*Server, []endsWay) {
	t.Helper()
	config, authority := endsTLS()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: authority.Certificate().Raw})
	if err := os.WriteFile(ca, block, 0o600); err != nil {
		t.Fatal(err)
	}
	backends := map[string]*endsBackend{
		"h1":  startEnds(t, nil, serveEndsHTTP1),
		"h2c": startEnds(t, nil, serveEndsHTTP2),
		"h2":  startEnds(t, config, serveEndsHTTP2),
	}
	s := Start(t, endsSites, map[string]string{
		"CLIENTS": clients, "OPTIONS": options, "CA": ca,
		"H1": backends["h1"].addr, "H2C": backends["h2c"].addr, "H2": backends["h2"].addr,
	})
	plain, secure := "127.0.0.1:"+s.vars["PORT"], "localhost:"+s.vars["PORT2"]
	toSecure := &tls.Config{RootCAs: s.roots(), NextProtos: []string{"h2"}}
	dial := func() (net.Conn, error) { return tls.Dial("tcp", secure, toSecure) }
	eventually(t, "the certificate is there", func() bool {
		conn, err := dial()
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	var ways []endsWay
	for _, front := range fronts {
		var client endsClient
		url := "https://" + secure
		switch front {
		case "h1":
			client, url = endsOverHTTP1(plain), "http://"+plain
		case "h2c":
			client, url = endsOverHTTP2(func() (net.Conn, error) { return net.Dial("tcp", plain) }), "http://"+plain
		case "h2":
			client = endsOverHTTP2(dial)
		case "h3":
			transport := &http3.Transport{DisableCompression: true}
			client = endsOverHTTP3(t, transport.NewClientConn(s.dialHTTP3(t, secure, s.h3Config())))
		}
		for version, b := range backends {
			ways = append(ways, endsWay{front + " to " + version, url + "/" + version + "/", client, b})
		}
	}
	return s, ways
}

// TestEnds runs the whole table: over every version on both sides, whoever ends first.
func TestEnds(t *testing.T) {
	for name, c := range map[string]struct {
		clients, options string
		fronts           []string
	}{
		"usual":        {"", "", []string{"h1", "h2c", "h2", "h3"}},
		"with retries": {"", "lb_retries 1", []string{"h2c", "h3"}},
		"net-http":     {"lb_clients {\n\t\tengine net/http\n\t}", "", []string{"h1"}},
	} {
		t.Run(name, func(t *testing.T) {
			s, ways := startEndsSites(t, c.clients, c.options, c.fronts...)
			cells := runEnds(t, ways)
			settled(t, s, ways, cells)
		})
	}
}

// runEnds runs the table over all ways, and returns the number of cells.
func runEnds(t *testing.T, ways []endsWay) int {
	begun := time.Now()
	type task struct {
		endsWay
		*endsCell
	}
	tasks := make(chan task)
	var wrong, slow sync.Map
	var workers sync.WaitGroup
	for range endsWorkers {
		workers.Go(func() {
			for job := range tasks {
				at := time.Now()
				if got := job.run(job.endsCell); got != job.want && !job.form.leaves {
					wrong.Store(job.id, fmt.Sprintf("%s: %s: got %s, want %s", job.name, job.endsCell, got, job.want))
				}
				if took := time.Since(at); took > 3*time.Second {
					slow.Store(job.id, took)
				}
			}
		})
	}
	cells := 0
	for _, way := range ways {
		for _, c := range endsCases() {
			cell := &endsCell{endsCase: c, id: fmt.Sprintf("cell%d", cells), here: make(chan struct{})}
			way.backend.expect(cell)
			tasks <- task{way, cell}
			cells++
		}
	}
	close(tasks)
	workers.Wait()
	failed := 0
	for _, what := range wrong.Range {
		failed++
		t.Error(what)
	}
	for id, took := range slow.Range {
		t.Logf("%s took %v", id, took)
	}
	t.Logf("%d of %d cells as the table says, in %v", cells-failed, cells, time.Since(begun).Round(time.Millisecond))
	return cells
}

// run takes one cell through the proxy, and returns what the client got.
func (w endsWay) run(cell *endsCell) string {
	left := make(chan struct{})
	over := make(chan struct{})
	var leaving sync.WaitGroup
	defer leaving.Wait()
	defer close(over)
	if cell.want == endsHeld || cell.form.leaves {
		leaving.Go(func() {
			select {
			case <-cell.here:
			case <-over:
			}
			if cell.want == endsHeld && !cell.form.leaves {
				select {
				case <-time.After(heldFor):
				case <-over:
				}
			}
			close(left)
		})
	}
	outcome, err := w.client(w.url+cell.id, cell.form, left)
	if err != nil {
		return "an error: " + err.Error()
	}
	return outcome
}

// settled checks that all is given back when every client has what it gets: handlers have returned,
// the proxy is done with every request at the backends, and every place is free.
func settled(t *testing.T, s *Server, ways []endsWay, cells int) {
	t.Helper()
	eventually(t, "every handler has returned", func() bool {
		return s.countLog(func(l LogLine) bool { return strings.HasPrefix(l.Text("logger"), "http.log.access") }) >= cells
	})
	for _, way := range ways {
		deadline := time.Now().Add(patience())
		for left := way.backend.left(); len(left) > 0; left = way.backend.left() {
			if time.Now().After(deadline) {
				t.Fatalf("%s: the proxy is not done with %d requests, such as %v", way.name, len(left), left[:min(3, len(left))])
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
	eventually(t, "every place is free", func() bool { return s.active() == 0 })
}

// active is how many requests are under way to all backends.
func (s *Server) active() (n int) {
	var all struct {
		Pools []struct{ Backends []backendLevel }
	}
	if err := json.Unmarshal([]byte(s.Admin(http.MethodGet, "/lb/pools", "").Body), &all); err != nil {
		s.t.Fatal(err)
	}
	for _, p := range all.Pools {
		for _, b := range p.Backends {
			n += b.Active
		}
	}
	return n
}
