package selection

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddylb/caddy-lb/lb"
)

// health is a condition that tests set.
type health struct{ down atomic.Bool }

func (h *health) Healthy() bool { return !h.down.Load() }

// trial is a backend that is half open after its ejection: it may have one request at a time.
type trial struct{ taken atomic.Bool }

func (*trial) Ejected() (time.Duration, bool) { return 0, false }
func (t *trial) Trial() lb.Trial              { return t }
func (t *trial) Take() bool                   { return t.taken.CompareAndSwap(false, true) }
func (t *trial) Return()                      { t.taken.Store(false) }
func (t *trial) Taken() bool                  { return t.taken.Load() }

// bed is a pool under test.
type bed struct {
	t      testing.TB
	pool   *lb.Pool
	health map[string]*health
}

// newBed makes a pool of servers written "host:port [weight [priority]]", in this order.
func newBed(t testing.TB, policy lb.Policy, servers ...string) *bed {
	t.Helper()
	b := &bed{t: t, pool: lb.NewPool("test", policy), health: make(map[string]*health)}
	b.update(servers...)
	return b
}

// update gives the pool another set of servers; those that stay keep their state.
func (b *bed) update(servers ...string) {
	b.t.Helper()
	known := make(map[string]*lb.Backend)
	for _, m := range b.pool.Snapshot().Members {
		known[m.Address().String()] = m.Backend
	}
	members := make([]*lb.Member, len(servers))
	for i, text := range servers {
		m := member(b.t, text)
		m.Position = i
		name := m.Address().String()
		if old := known[name]; old != nil {
			m.Backend = old
		}
		if b.health[name] == nil {
			b.health[name] = new(health)
		}
		m.Conditions = []lb.Condition{b.health[name]}
		members[i] = m
	}
	if err := b.pool.Update(members); err != nil {
		b.t.Fatal(err)
	}
}

// member parses "host:port [weight [priority]]".
func member(t testing.TB, text string) *lb.Member {
	t.Helper()
	fields := strings.Fields(text)
	m := &lb.Member{Weight: 1}
	for i, target := range []*int{&m.Weight, &m.Priority} {
		if len(fields) > i+1 {
			n, err := strconv.Atoi(fields[i+1])
			if err != nil {
				t.Fatal(err)
			}
			*target = n
		}
	}
	address := lb.Address{Scheme: "http", Network: "tcp"}
	if path, ok := strings.CutPrefix(fields[0], "unix/"); ok {
		address.Network, address.Host = "unix", path
	} else {
		host, port, err := net.SplitHostPort(fields[0])
		if err != nil {
			t.Fatal(err)
		}
		address.Host, address.Port = host, port
	}
	m.Backend = lb.NewBackend(address, time.Unix(0, 0))
	return m
}

// set marks servers up or down.
func (b *bed) set(up bool, servers ...string) {
	b.t.Helper()
	for _, s := range servers {
		b.health[s].down.Store(!up)
	}
	if err := b.pool.Refresh(); err != nil {
		b.t.Fatal(err)
	}
}

// pick makes one pick for key and returns the server's address, or "" when there is none.
func (b *bed) pick(key string, tried ...*lb.Member) string {
	p := lb.Pick{Key: key}
	for _, m := range tried {
		p.Tried.Add(m.Backend)
	}
	return addressOf(b.pool.Snapshot().Pick(&p))
}

func addressOf(m *lb.Member) string {
	if m == nil {
		return ""
	}
	return m.Address().String()
}

// find returns the member at an address.
func (b *bed) find(address string) *lb.Member {
	b.t.Helper()
	m := b.pool.Snapshot().Find(address)
	if m == nil {
		b.t.Fatalf("no member %s", address)
	}
	return m
}

// sequence makes n picks and returns the ports' last digits, or "-" for no pick.
func (b *bed) sequence(n int) string {
	var s strings.Builder
	for range n {
		got := b.pick("")
		if got == "" {
			got = "-"
		}
		s.WriteByte(got[len(got)-1])
	}
	return s.String()
}

// count makes n picks, each under a key of its own, and counts them by address.
func (b *bed) count(n int) map[string]int {
	got := make(map[string]int)
	for i := range n {
		got[b.pick("/key/"+strconv.Itoa(i))]++
	}
	return got
}

// owners is the address for each of n keys.
func (b *bed) owners(n int) []string {
	owners := make([]string, n)
	for i := range owners {
		owners[i] = b.pick("/key/" + strconv.Itoa(i))
	}
	return owners
}

// servers makes n server texts, 10.0.x.y:80, with the weights given in turn.
func servers(n int, weights ...int) []string {
	s := make([]string, n)
	for i := range s {
		weight := 1
		if len(weights) > 0 {
			weight = weights[i%len(weights)]
		}
		s[i] = fmt.Sprintf("10.0.%d.%d:80 %d", i/250, i%250+1, weight)
	}
	return s
}

// seeded is a source of random bits that is the same in every run.
func seeded(seed uint64) func() uint64 { return rand.New(rand.NewPCG(seed, 0)).Uint64 }

// near fails unless got is within five standard deviations of a binomial count of n draws of probability p:
// with fixed seeds a failure is not bad luck.
func near(t testing.TB, what string, got, n int, p float64) {
	t.Helper()
	mean := float64(n) * p
	slack := 5 * max(1, math.Sqrt(mean*(1-p)))
	if d := float64(got) - mean; d > slack || d < -slack {
		t.Errorf("%s: %d of %d, want %.0f ± %.0f", what, got, n, mean, slack)
	}
}

// provisioned provisions and validates a policy as Caddy does.
func provisioned[P lb.Policy](t testing.TB, policy P) P {
	t.Helper()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	t.Cleanup(cancel)
	if p, ok := any(policy).(caddy.Provisioner); ok {
		if err := p.Provision(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if v, ok := any(policy).(caddy.Validator); ok {
		if err := v.Validate(); err != nil {
			t.Fatal(err)
		}
	}
	return policy
}

// request is a request as a handler has it, on its first try.
func request(t testing.TB, target string) *Request {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, target, http.NoBody)
	return &Request{HTTP: r, Writer: httptest.NewRecorder(), Replacer: caddy.NewReplacer()}
}

// choose asks policy's key and picks for r, as a handler does.
func (b *bed) choose(r *Request) *lb.Member {
	if k, ok := b.pool.Policy().(Keyer); ok {
		r.Key = k.Key(r.HTTP, r.Replacer)
	}
	return Choose(b.pool.Snapshot(), r)
}

// sorted returns the keys of m in order.
func sorted[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
