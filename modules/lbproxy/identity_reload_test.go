package lbproxy

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
)

// closingListener accepts connections, counts them, and closes them until it is open.
type closingListener struct {
	net.Listener
	open atomic.Bool
	came atomic.Int32
}

func (l *closingListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		l.came.Add(1)
		if l.open.Load() {
			return c, nil
		}
		_ = c.Close()
	}
}

// startClosed runs a backend that serves nobody until its listener is open.
func startClosed(t *testing.T, name string) *closingListener {
	t.Helper()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &closingListener{Listener: inner}
	s := &http.Server{Handler: text(name)}
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close(); <-done })
	return l
}

// reorderings are what people do to a file while requests wait: the sites before and after.
// Requests go to a.localhost. Its pool is {X} and {A}, which do not serve, that of the other site
// {X} and {B}, which does.
var reorderings = map[string][2]string{
	"two sites swap": {siteA + siteB, siteB + siteA},
	"a third site is removed": {
		"http://old.localhost:{PORT} {\nlb_proxy {X} 127.0.0.1:1\n}\n" + siteA + siteB, siteA + siteB,
	},
	"a site is added": {
		siteB + siteA, siteB + "http://new.localhost:{PORT} {\nlb_proxy {X} 127.0.0.1:1\n}\n" + siteA,
	},
	"nothing changes, on three ports": {
		siteA + "http://:{OTHER} {\n{PROXY B}\n}\nhttp://:{THIRD} {\n{PROXY B}\n}\n",
		siteA + "http://:{OTHER} {\n{PROXY B}\n}\nhttp://:{THIRD} {\n{PROXY B}\n}\n",
	},
	"one site on two ports": {
		"http://a.localhost:{PORT} {\n{PROXY A}\n}\nhttp://a.localhost:{OTHER} {\n{PROXY B}\n}\n",
		"http://a.localhost:{OTHER} {\n{PROXY B}\n}\nhttp://a.localhost:{PORT} {\n{PROXY A}\n}\n",
	},
	"handles of one site": {
		inA("handle /wait* {\n{PROXY A}\n}\nhandle {\n{PROXY B}\n}"), inA("handle {\n{PROXY B}\n}\nhandle /wait* {\n{PROXY A}\n}"),
	},
	"a handle moves to another path": {
		inA("handle /wait* {\n{PROXY A}\n}\nhandle /b* {\n{PROXY B}\n}"), inA("handle /b* {\n{PROXY A}\n}\nhandle /wait* {\n{PROXY B}\n}"),
	},
	"handle_path": {
		inA("handle_path /wait* {\n{PROXY A}\n}\nhandle_path /b* {\n{PROXY B}\n}"),
		inA("handle_path /b* {\n{PROXY B}\n}\nhandle_path /wait* {\n{PROXY A}\n}"),
	},
	"proxies with matchers in a route": {
		inA("route {\n@a method GET\n@b method POST\n{PROXY @a A}\n{PROXY @b B}\n}"),
		inA("route {\n@a method GET\n@b method POST\n{PROXY @b B}\n{PROXY @a A}\n}"),
	},
	"named routes": {
		"&(one) {\n{PROXY A}\n}\n&(two) {\n{PROXY B}\n}\n" + inA("handle /wait* {\ninvoke one\n}\nhandle /b* {\ninvoke two\n}"),
		"&(two) {\n{PROXY A}\n}\n&(one) {\n{PROXY B}\n}\n" + inA("handle /wait* {\ninvoke two\n}\nhandle /b* {\ninvoke one\n}"),
	},
	"snippets": {
		"(to) {\n{PROXY {args[0]}}\n}\n" + inA("handle /wait* {\nimport to {A}\n}\nhandle /b* {\nimport to {B}\n}"),
		"(to) {\n{PROXY {args[0]}}\n}\n" + inA("handle /b* {\nimport to {B}\n}\nhandle /wait* {\nimport to {A}\n}"),
	},
	"routes for errors": {
		inA("error 500\nhandle_errors {\n{PROXY A}\n}") + inB("error 500\nhandle_errors {\n{PROXY B}\n}"),
		inB("error 500\nhandle_errors {\n{PROXY B}\n}") + inA("error 500\nhandle_errors {\n{PROXY A}\n}"),
	},
	"routes for answers": {
		inA("lb_proxy {B} {\nhandle_response {\n{PROXY A}\n}\n}") + inB("lb_proxy {B} {\nhandle_response {\n{PROXY B}\n}\n}"),
		inB("lb_proxy {B} {\nhandle_response {\n{PROXY B}\n}\n}") + inA("lb_proxy {B} {\nhandle_response {\n{PROXY A}\n}\n}"),
	},
	"routes for answers of Caddy's proxy": {
		inA("reverse_proxy {B} {\n@r status 200\nhandle_response @r {\n{PROXY A}\n}\nhandle_response {\n{PROXY B}\n}\n}"),
		inA("reverse_proxy {B} {\nhandle_response {\n{PROXY A}\n}\n@r status 200\nhandle_response @r {\n{PROXY B}\n}\n}"),
	},
	"routes of filters": {
		inA("lb_proxy {B} {\nrequest_filter {\n{PROXY A}\n}\n}") + inB("lb_proxy {B} {\nrequest_filter {\n{PROXY B}\n}\n}"),
		inB("lb_proxy {B} {\nrequest_filter {\n{PROXY B}\n}\n}") + inA("lb_proxy {B} {\nrequest_filter {\n{PROXY A}\n}\n}"),
	},
	"one handler twice": {
		inA("route {\n{PROXY A}\n{PROXY A}\n}") + siteB, siteB + inA("route {\n{PROXY A}\n}"),
	},
	"the site is gone":             {siteA + siteB, siteB},
	"its backends are the other's": {siteA + siteB, inA("{PROXY B}") + inB("{PROXY A}")},
}

const (
	siteA = "http://a.localhost:{PORT} {\n{PROXY A}\n}\n"
	siteB = "http://b.localhost:{PORT} {\n{PROXY B}\n}\n"
)

func inA(routes string) string { return "http://a.localhost:{PORT} {\n" + routes + "\n}\n" }
func inB(routes string) string { return "http://b.localhost:{PORT} {\n" + routes + "\n}\n" }

// filledIn fills in what the sites of reorderings leave out.
func filledIn(sites string, values ...string) string {
	const options = " {\nlb_try_duration 1h\nlb_try_interval 2ms\n}"
	return strings.NewReplacer(append([]string{
		"{PROXY A}", "lb_proxy {X} {A}" + options, "{PROXY B}", "lb_proxy {X} {B}" + options,
		"{PROXY @a A}", "lb_proxy @a {X} {A}" + options, "{PROXY @b B}", "lb_proxy @b {X} {B}" + options,
		"{PROXY {args[0]}}", "lb_proxy {X} {args[0]}" + options,
	}, values...)...).Replace(sites)
}

// A request that waits is never given to a backend outside its pool, whatever a reload changes
// around it.
func TestWaitingRequestsKeepToTheirPool(t *testing.T) {
	for name, sites := range reorderings {
		t.Run(name, func(t *testing.T) {
			x, a := startClosed(t, "X"), startClosed(t, "A")
			b := startBackend(t, text("B"))
			var after string
			p := startSitesOf(t, "", func() string {
				ports := strings.NewReplacer("{OTHER}", portOf(t, freeAddress(t)), "{THIRD}", portOf(t, freeAddress(t)))
				fill := func(sites string) string {
					return ports.Replace(filledIn(filledIn(sites), "{X}", x.Addr().String(), "{A}", a.Addr().String(), "{B}", b.Listener.Addr().String()))
				}
				after = fill(sites[1])
				return fill(sites[0])
			})
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			req, _ := http.NewRequestWithContext(ctx, http.MethodGet, p.url("/wait"), nil)
			req.Host = "a.localhost"
			got := make(chan string, 1)
			go func() {
				res, err := p.client.Do(req)
				if err != nil {
					got <- err.Error()
					return
				}
				defer res.Body.Close()
				body, _ := io.ReadAll(res.Body)
				got <- fmt.Sprint(res.StatusCode, " ", string(body))
			}()
			eventually(t, "tries", func() bool { return a.came.Load() > 0 && x.came.Load() > 0 })
			passed := b.count() // by the first of two proxies, where there are two
			p.loadSites(after)
			came := a.came.Load()
			eventually(t, "further tries", func() bool { return a.came.Load() > came+3 })
			if n := b.count() - passed; n != 0 {
				t.Errorf("%d requests reached a backend of the other pool", n)
			}
			a.open.Store(true)
			if r := <-got; r != "200 A" {
				t.Errorf("got %s", r)
			}
		})
	}
}

// The same where backends have as many requests as they may and others wait in line.
func TestQueuedRequestsKeepToTheirPool(t *testing.T) {
	came, letGo := make(chan struct{}, 100), make(chan struct{})
	hold := func(name string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			came <- struct{}{}
			<-letGo
			_, _ = io.WriteString(w, r.Host+" "+name)
		}
	}
	both, ofA, ofB := startBackend(t, hold("both")), startBackend(t, hold("a")), startBackend(t, hold("b"))
	site := func(host string, b *backend) string {
		return fmt.Sprintf("http://%s:{PORT} {\nlb_proxy {\nbackend %s max_requests 1\nbackend %s max_requests 1\nqueue 50 1h\n}\n}\n", host, both.URL, b.URL)
	}
	a, b := site("a.localhost", ofA), site("b.localhost", ofB)
	p := startSites(t, a+b)
	answers := make(chan string, 20)
	for range 20 {
		go func() { answers <- p.get("/", "Host", "a.localhost").body }()
	}
	<-came
	<-came
	name := func(p *pool) bool { return strings.HasPrefix(p.Name(), "a.localhost") }
	queued := func() (n int) {
		for _, p := range runningPools() {
			if name(p) {
				n += p.state.queue.Len()
			}
		}
		return n
	}
	eventually(t, "requests in line", func() bool { return queued() == 18 })
	p.loadSites(b + a)
	if n := queued(); n != 18 {
		t.Errorf("%d requests wait for the pool after the reload, want all 18", n)
	}
	close(letGo)
	for range 20 {
		if got := <-answers; got != "a.localhost both" && got != "a.localhost a" {
			t.Errorf("a request was answered by %q", got)
		}
	}
}
