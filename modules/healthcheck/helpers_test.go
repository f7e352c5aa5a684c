package healthcheck

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"github.com/caddylb/caddy-lb/lb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errDown = errors.New("down")

// fake is a Checker whose answers the test decides. It counts and never minds what it is asked about.
type fake struct {
	check func(ctx context.Context, n int) error

	mu      sync.Mutex
	starts  []time.Time
	running int
	most    int
}

// script returns a fake that gives these results in order, and the last one for ever.
func script(results ...error) *fake {
	return &fake{check: func(_ context.Context, n int) error { return results[min(n, len(results)-1)] }}
}

func (f *fake) Check(ctx context.Context, _ Target) error {
	f.mu.Lock()
	n := len(f.starts)
	f.starts = append(f.starts, time.Now())
	f.running++
	f.most = max(f.most, f.running)
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		f.running--
		f.mu.Unlock()
	}()
	if f.check == nil {
		return nil
	}
	return f.check(ctx, n)
}

// times are the moments at which checks began.
func (f *fake) times() []time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]time.Time(nil), f.starts...)
}

func (f *fake) count() int { return len(f.times()) }

// overlap is the largest number of checks that ran at once.
func (f *fake) overlap() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.most
}

// configure returns a configuration, as Provision leaves it, around a checker that is no module. Jitter is off
// unless edit turns it on.
func configure(t *testing.T, checker Checker, edit func(*Config)) *Config {
	t.Helper()
	c := &Config{CheckRaw: []byte(`{"kind":"fake"}`), Jitter: -1}
	if edit != nil {
		edit(c)
	}
	c.setDefaults()
	if err := c.validate(); err != nil {
		t.Fatal(err)
	}
	if err := c.identify(); err != nil {
		t.Fatal(err)
	}
	c.checker, c.logger = checker, zap.NewNop()
	return c
}

// target is a backend of its own, so that tests share no state.
func target(host string) Target {
	return Target{Address: lb.Address{Scheme: "http", Network: "tcp", Host: host, Port: "80"}}
}

// start acquires and attaches a monitor that is released when the test is over.
func start(t *testing.T, c *Config, s *Subscription) *Monitor {
	t.Helper()
	if s == nil {
		s = new(Subscription)
	}
	s.Config = c
	m := Acquire(c, target(t.Name()))
	m.Attach(s)
	t.Cleanup(func() { m.Release(s) })
	return m
}

// newContext returns a Caddy context that ends with the test.
func newContext(t *testing.T) caddy.Context {
	t.Helper()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	t.Cleanup(cancel)
	return ctx
}

// listen returns a TCP listener on a free port and the target that leads there.
func listen(t *testing.T) (net.Listener, Target) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l, at(t, "http", l.Addr())
}

// at is the target that listens at addr.
func at(t *testing.T, scheme string, addr net.Addr) Target {
	t.Helper()
	a := lb.Address{Scheme: scheme, Network: addr.Network()}
	if addr.Network() == "unix" {
		a.Host = addr.String()
	} else {
		var err error
		if a.Host, a.Port, err = net.SplitHostPort(addr.String()); err != nil {
			t.Fatal(err)
		}
	}
	return Target{Address: a, Backend: a}
}

// within is a context for checks that are expected to answer.
func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}
