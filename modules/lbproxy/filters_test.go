package lbproxy

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddylb/caddy-lb/modules/filter"
)

// echoBackend answers with the request's body, its Host and X-Up fields, and a trailer.
func echoBackend(t *testing.T) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-End")
		w.Header().Set("X-Host", r.Host)
		w.Header().Set("X-Up", r.Header.Get("X-Up"))
		w.Header().Set("X-Method", r.Method)
		_, _ = io.Copy(w, r.Body)
		w.Header().Set("X-End", "1")
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func TestEveryPhaseInOrder(t *testing.T) {
	b, filters := newProbe(t)
	p := startProxy(t, upstreams(echoBackend(t))+","+filters)
	r := p.send(http.MethodPut, "/", strings.NewReader("body"), "Te", "trailers")
	if err := b.end(t); err != nil || r.status != http.StatusOK || r.body != "body" || r.trailer.Get("X-End") != "1" {
		t.Errorf("status %d, %q, trailers %v, logged %v", r.status, r.body, r.trailer, err)
	}
	want := []string{
		"early request", "request", "request body", "upstream selected", "upstream request", "connected", "upstream response", "response",
		"response body", "trailers", "logging",
	}
	if got := b.seen(); !slices.Equal(got, want) {
		t.Errorf("phases\n%q, want\n%q", got, want)
	}

	p.get("/")
	if err := b.end(t); err != nil {
		t.Error(err)
	}
	if got := b.seen(); slices.Contains(got, "request body") {
		t.Errorf("phases %q of a request without a body", got)
	}
}

func TestFiltersChangeWhatTheirPhaseIsFor(t *testing.T) {
	b, filters := newProbe(t)
	p := startProxy(t, upstreams(echoBackend(t))+","+filters)
	b.request = func(x *filter.Context) (bool, error) {
		x.Request.Header.Set("X-Up", "from the request phase")
		return false, nil
	}
	b.requestBody = func(body io.ReadCloser) (io.ReadCloser, error) { return replacing(body, "a", "b"), nil }
	b.upstreamRequest = func(x *filter.Context, r *http.Request) error {
		r.Host = x.Member.Address().Host + ".internal"
		r.Method = http.MethodPatch
		r.Header.Set("X-Up", r.Header.Get("X-Up")+", try "+fmt.Sprint(x.Try))
		return nil
	}
	b.upstreamResponse = func(_ *filter.Context, res *http.Response) error {
		res.Header.Set("X-Seen", "1")
		return nil
	}
	b.response = func(_ *filter.Context, status int, h http.Header) (int, error) {
		h.Set("X-Status", fmt.Sprint(status))
		h.Del("Content-Length")
		return http.StatusAccepted, nil
	}
	b.responseBody = func(body io.ReadCloser) (io.ReadCloser, error) { return replacing(body, "b", "cc"), nil }
	b.trailers = func(h http.Header) error {
		h.Set("X-End", "2")
		return nil
	}
	r := p.send(http.MethodPut, "/", strings.NewReader("aXa"), "Te", "trailers")
	for field, want := range map[string]string{
		"X-Host": "127.0.0.1.internal", "X-Up": "from the request phase, try 1", "X-Method": "PATCH", "X-Seen": "1", "X-Status": "200",
	} {
		if got := r.header.Get(field); got != want {
			t.Errorf("%s: %q, want %q", field, got, want)
		}
	}
	if r.status != http.StatusAccepted || r.body != "ccXcc" || r.trailer.Get("X-End") != "2" {
		t.Errorf("status %d, body %q, trailers %v", r.status, r.body, r.trailer)
	}
}

// replacing replaces an octet in a body as it streams.
func replacing(body io.ReadCloser, old, replacement string) io.ReadCloser {
	return struct {
		io.Reader
		io.Closer
	}{&octetReplacer{in: bufio.NewReader(body), old: old[0], replacement: replacement}, body}
}

type octetReplacer struct {
	in          *bufio.Reader
	old         byte
	replacement string
	rest        string
}

func (r *octetReplacer) Read(p []byte) (int, error) {
	if r.rest == "" {
		c, err := r.in.ReadByte()
		if err != nil {
			return 0, err
		}
		if r.rest = string(c); c == r.old {
			r.rest = r.replacement
		}
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// A filter that fails, in whatever way and phase, ends its own request and no other.
func TestFailuresOfFilters(t *testing.T) {
	refused := caddyhttp.Error(http.StatusTeapot, errors.New("refused"))
	for _, way := range []struct {
		name   string
		fail   func() error
		status int
	}{
		{"an error with a status", func() error { return refused }, http.StatusTeapot},
		{"an error", func() error { return errors.New("broken") }, http.StatusInternalServerError},
		{"a panic", func() error { panic("broken") }, http.StatusInternalServerError},
	} {
		for phase, set := range map[string]func(b *probeBehaviour, fail func() error){
			"early request": func(b *probeBehaviour, f func() error) { b.early = func(*filter.Context) error { return f() } },
			"request": func(b *probeBehaviour, f func() error) {
				b.request = func(*filter.Context) (bool, error) { return false, f() }
			},
			"request body": func(b *probeBehaviour, f func() error) {
				b.requestBody = func(r io.ReadCloser) (io.ReadCloser, error) { return r, f() }
			},
			"upstream selected": func(b *probeBehaviour, f func() error) { b.selected = func(*filter.Context) error { return f() } },
			"upstream request": func(b *probeBehaviour, f func() error) {
				b.upstreamRequest = func(*filter.Context, *http.Request) error { return f() }
			},
			"connected": func(b *probeBehaviour, f func() error) { b.connected = func(filter.Connection) error { return f() } },
			"upstream response": func(b *probeBehaviour, f func() error) {
				b.upstreamResponse = func(*filter.Context, *http.Response) error { return f() }
			},
			"response": func(b *probeBehaviour, f func() error) {
				b.response = func(*filter.Context, int, http.Header) (int, error) { return 0, f() }
			},
			"response body": func(b *probeBehaviour, f func() error) {
				b.responseBody = func(r io.ReadCloser) (io.ReadCloser, error) { return r, f() }
			},
		} {
			t.Run(way.name+" in "+phase, func(t *testing.T) {
				b, filters := newProbe(t)
				p := startProxy(t, upstreams(echoBackend(t))+","+filters)
				var failures []error
				b.failed = func(err error) error {
					failures = append(failures, err)
					return err
				}
				set(b, way.fail)
				r := p.send(http.MethodPut, "/", strings.NewReader("body"))
				err := b.end(t)
				if r.status != way.status || r.header.Get("X-Host") != "" {
					t.Errorf("status %d, header %v; want %d", r.status, r.header, way.status)
				}
				if err == nil || !strings.Contains(err.Error(), "filter probe, phase "+phase) || len(failures) != 1 {
					t.Errorf("logged %v, failures %v; want the filter and its phase", err, failures)
				}
				*b = probeBehaviour{logged: b.logged}
				if r := p.send(http.MethodPut, "/", strings.NewReader("body")); r.status != http.StatusOK {
					t.Errorf("the next request: status %d", r.status)
				}
			})
		}
	}
}

func TestFilterThatIsLate(t *testing.T) {
	b, filters := newProbe(t)
	p := startProxy(t, upstreams(echoBackend(t))+`,"filter_timeout":"20ms",`+filters)
	b.request = func(x *filter.Context) (bool, error) {
		<-x.Context().Done()
		return false, nil
	}
	if r := p.get("/"); r.status != http.StatusGatewayTimeout {
		t.Errorf("status %d, want 504", r.status)
	}
	if err := b.end(t); err == nil || !strings.Contains(err.Error(), "filter_timeout") {
		t.Errorf("logged %v", err)
	}
	b.request = func(x *filter.Context) (bool, error) { return false, x.Context().Err() }
	if r := p.get("/"); r.status != http.StatusOK {
		t.Errorf("the next request: status %d", r.status)
	}
}

// A panic in a body's Read comes on a goroutine that serves nobody else, and must not end the process.
func TestFilterBodyThatPanics(t *testing.T) {
	b, filters := newProbe(t)
	p := startProxy(t, upstreams(echoBackend(t))+","+filters)
	b.requestBody = func(body io.ReadCloser) (io.ReadCloser, error) {
		return struct {
			io.Reader
			io.Closer
		}{panickingReader{}, body}, nil
	}
	if r := p.send(http.MethodPut, "/", strings.NewReader(strings.Repeat("x", 100_000))); r.status < 400 {
		t.Errorf("status %d, want an error", r.status)
	}
	b.requestBody = nil
	if r := p.send(http.MethodPut, "/", strings.NewReader("body")); r.body != "body" {
		t.Errorf("the next request: %d %q", r.status, r.body)
	}
}

type panickingReader struct{}

func (panickingReader) Read([]byte) (int, error) { panic("broken") }

// A filter may answer by itself, and no backend is asked.
func TestFilterAnswers(t *testing.T) {
	b, filters := newProbe(t)
	p := startProxy(t, upstreams(refusingAddress(t))+","+filters)
	b.request = func(x *filter.Context) (bool, error) {
		x.Writer.WriteHeader(http.StatusCreated)
		_, err := io.WriteString(x.Writer, "own")
		return true, err
	}
	if r := p.get("/"); r.status != http.StatusCreated || r.body != "own" {
		t.Errorf("%d %q", r.status, r.body)
	}
	if got := b.seen(); !slices.Equal(got, []string{"early request", "request", "logging"}) {
		t.Errorf("phases %q", got)
	}
}

// refusingAddress is an address that nobody listens on.
func refusingAddress(t *testing.T) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

func TestVerdictsOnConnectFailures(t *testing.T) {
	alive := echoBackend(t)
	for _, c := range []struct {
		name    string
		verdict func(x *filter.Context) filter.Verdict
		status  int
		tries   int
	}{
		{"left to the proxy", func(*filter.Context) filter.Verdict { return filter.ByDefault }, http.StatusOK, 2},
		{"given up", func(*filter.Context) filter.Verdict { return filter.GiveUp }, http.StatusBadGateway, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, filters := newProbe(t)
			p := startProxy(t, upstreams(refusingAddress(t), alive)+`,"load_balancing":{"selection_policy":{"policy":"first"}},`+filters)
			tries := 0
			b.selected = func(x *filter.Context) error { tries = x.Try; return nil }
			b.connectFailed = func(x *filter.Context, err error) filter.Verdict {
				if err == nil {
					t.Error("no error")
				}
				return c.verdict(x)
			}
			if r := p.get("/"); r.status != c.status || tries != c.tries {
				t.Errorf("status %d after %d tries, want %d after %d", r.status, tries, c.status, c.tries)
			}
		})
	}
	t.Run("until the backend is there", func(t *testing.T) {
		address := refusingAddress(t)
		b, filters := newProbe(t)
		p := startProxy(t, upstreams(address)+`,"load_balancing":{"try_interval":"1ms"},`+filters)
		b.connectFailed = func(x *filter.Context, _ error) filter.Verdict {
			if x.Try == 3 {
				ln, err := net.Listen("tcp", address)
				if err != nil {
					t.Error(err)
					return filter.GiveUp
				}
				srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "there") }))
				srv.Listener.Close()
				srv.Listener = ln
				srv.Start()
				t.Cleanup(srv.Close)
			}
			return filter.AnotherBackend
		}
		if r := p.get("/"); r.body != "there" {
			t.Errorf("%d %q", r.status, r.body)
		}
	})
}

func TestFilterChoosesAnotherPool(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "other") }))
	t.Cleanup(other.Close)
	b, filters := newProbe(t)
	p := startProxy(t, upstreams(echoBackend(t))+","+filters, serverOptions{apps: `"lb":{"pools":{"other":{` + upstreams(other.URL) + `}}}`})
	b.request = func(x *filter.Context) (bool, error) { return false, x.UsePool(x.Request.URL.Query().Get("pool")) }
	if r := p.get("/?pool=other"); r.body != "other" {
		t.Errorf("%d %q, want the other pool's answer", r.status, r.body)
	}
	if err := b.end(t); err != nil {
		t.Error(err)
	}
	if r := p.get("/?pool=none"); r.status != http.StatusInternalServerError {
		t.Errorf("a pool that is not there: status %d", r.status)
	}
	if err := b.end(t); err == nil || !strings.Contains(err.Error(), `there is no pool "none"`) {
		t.Errorf("logged %v", err)
	}
}
