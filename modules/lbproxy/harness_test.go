package lbproxy

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
)

// patience bounds every wait for something that has to happen.
const patience = 10 * time.Second

func init() { caddy.RegisterModule(testLog{}) }

// testLog is a log writer that keeps what is written.
type testLog struct{}

func (testLog) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "caddy.logging.writers.lb_proxy_test", New: func() caddy.Module { return new(testLog) }}
}

func (testLog) String() string                      { return "lb_proxy_test" }
func (testLog) WriterKey() string                   { return "lb_proxy_test" }
func (testLog) OpenWriter() (io.WriteCloser, error) { return testLog{}, nil }
func (testLog) Close() error                        { return nil }
func (testLog) Write(p []byte) (int, error) {
	logged.Lock()
	defer logged.Unlock()
	return logged.text.Write(p)
}

var logged struct {
	sync.Mutex
	text bytes.Buffer
}

// logLine waits for a log entry that contains all the parts and returns it.
func logLine(t *testing.T, parts ...string) string {
	t.Helper()
	var found string
	eventually(t, "a log entry with "+strings.Join(parts, ", "), func() bool {
		logged.Lock()
		defer logged.Unlock()
		for line := range strings.Lines(logged.text.String()) {
			all := true
			for _, p := range parts {
				all = all && strings.Contains(line, p)
			}
			if all {
				found = line
				return true
			}
		}
		return false
	})
	return found
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no %s within %v", what, patience)
		}
	}
}

// proxy is a running Caddy with one lb_proxy handler.
type proxy struct {
	t        *testing.T
	address  string
	client   *http.Client
	reloaded atomic.Int64 // when, in Unix nanoseconds
}

// options of a proxy's server, as JSON members.
type serverOptions struct {
	before string // handlers before lb_proxy
	after  string // handlers after it
	server string // more members of the server
	apps   string // more apps
	log    string // more members of the log
}

// startProxy runs Caddy with a handler whose members are given as JSON.
func startProxy(t *testing.T, handler string, options ...serverOptions) *proxy {
	t.Helper()
	p := &proxy{t: t, address: freeAddress(t)}
	p.load(handler, options...)
	transport := &http.Transport{DisableCompression: true}
	p.client = &http.Client{Transport: transport, Timeout: patience}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		if err := caddy.Stop(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// load replaces the configuration.
func (p *proxy) load(handler string, options ...serverOptions) {
	p.t.Helper()
	if err := p.tryLoad(handler, options...); err != nil {
		p.t.Fatal(err)
	}
}

func (p *proxy) tryLoad(handler string, options ...serverOptions) error {
	var o serverOptions
	if len(options) > 0 {
		o = options[0]
	}
	logged.Lock()
	logged.text.Reset()
	logged.Unlock()
	join := func(parts ...string) string {
		var all []string
		for _, s := range parts {
			if s != "" {
				all = append(all, s)
			}
		}
		return strings.Join(all, ",")
	}
	config := fmt.Sprintf(`{
		"admin": {"disabled": true, "config": {"persist": false}},
		"logging": {"logs": {"default": {%s}}},
		"apps": {%s}
	}`, join(`"writer":{"output":"lb_proxy_test"},"encoder":{"format":"json"}`, o.log),
		join(fmt.Sprintf(`"http": {"grace_period": "5s", "servers": {"s": {%s}}}`, join(
			fmt.Sprintf(`"listen":[%q],"automatic_https":{"disable":true},"logs":{}`, p.address),
			o.server,
			fmt.Sprintf(`"routes":[{"handle":[%s]}]`, join(o.before, `{"handler":"lb_proxy",`+handler+`}`, o.after)),
		)), `"tls":{"disable_storage_check":true,"disable_storage_clean":true}`, o.apps))
	if !json.Valid([]byte(config)) {
		p.t.Fatalf("bad JSON: %s", config)
	}
	err := caddy.Load([]byte(config), true)
	p.reloaded.Store(time.Now().UnixNano())
	return err
}

func freeAddress(t *testing.T) string {
	t.Helper()
	for range 1000 {
		// Below the range that systems take the ports of outgoing connections from, and apart from
		// that of the whole-server tests, which may run at the same time.
		port := 5000 + rand.IntN(9000)
		l, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
		if err != nil {
			continue
		}
		l.Close()
		return fmt.Sprintf("127.0.0.1:%d", port)
	}
	t.Fatal("no free port found")
	return ""
}

func (p *proxy) url(path string) string { return "http://" + p.address + path }

// reply is what a client got.
type reply struct {
	status  int
	header  http.Header
	trailer http.Header
	body    string
	res     *http.Response
}

// get sends a GET request. Fields are given in turns of name and value.
func (p *proxy) get(path string, fields ...string) reply {
	return p.send(http.MethodGet, path, nil, fields...)
}

func (p *proxy) send(method, path string, body io.Reader, fields ...string) reply {
	p.t.Helper()
	req, err := http.NewRequest(method, p.url(path), body)
	if err != nil {
		p.t.Fatal(err)
	}
	for i := 0; i < len(fields); i += 2 {
		if fields[i] == "Host" {
			req.Host = fields[i+1]
			continue
		}
		req.Header[fields[i]] = append(req.Header[fields[i]], fields[i+1])
	}
	return p.do(req)
}

func (p *proxy) do(req *http.Request) reply {
	p.t.Helper()
	res, err := p.client.Do(req)
	for err != nil && p.handedOver(req, err) {
		res, err = p.client.Do(req)
	}
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return reply{status: res.StatusCode, header: res.Header, trailer: res.Trailer, body: string(text), res: res}
}

// handover is how long after a reload a connection may be lost. Each configuration of Caddy listens on a socket of its own,
// and what waits in the old one when it closes is reset, whatever the handler.
const handover = 2 * time.Second

// handedOver reports whether a request may be repeated because its connection was lost with a listener.
func (p *proxy) handedOver(req *http.Request, err error) bool {
	lost := errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
	return lost && req.Method == http.MethodGet && time.Since(time.Unix(0, p.reloaded.Load())) < handover
}

// raw sends text over a connection of its own and returns the connection and a reader of it.
func (p *proxy) raw(text string) (net.Conn, *bufio.Reader) {
	p.t.Helper()
	conn, err := net.Dial("tcp", p.address)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(conn, text); err != nil {
		p.t.Fatal(err)
	}
	return conn, bufio.NewReader(conn)
}

// upstreams is the JSON member for backends.
func upstreams(addresses ...string) string {
	var dials []string
	for _, a := range addresses {
		dials = append(dials, fmt.Sprintf(`{"dial":%q}`, strings.TrimPrefix(a, "http://")))
	}
	return `"upstreams":[` + strings.Join(dials, ",") + `]`
}
