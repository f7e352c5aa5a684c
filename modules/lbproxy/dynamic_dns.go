package lbproxy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"go.uber.org/zap"
)

// maxDynamicNames bounds the names whose answers are kept. Names may hold placeholders that clients fill in.
const maxDynamicNames = 1024

// dnsSource answers from DNS. A name is looked up when it is first asked for; from then on its answer is served
// at once, refreshed in the background when it is old, and kept while DNS is away.
type dnsSource struct {
	name    func(r *http.Request) string // key of the answer
	shown   func(name string) string     // the key for people
	lookup  func(ctx context.Context, name string) ([]*Upstream, error)
	refresh time.Duration
	ctx     context.Context // the configuration's
	log     *zap.Logger

	mu    sync.Mutex // held to find a name, never during a lookup
	names map[string]*dnsName
}

// dnsName is one name and its last good answer.
type dnsName struct {
	mu      sync.Mutex
	answer  []*Upstream
	at      time.Time     // when the answer was new, as far as its refreshing goes
	pending chan struct{} // closed when the lookup under way ends; nil when there is none
	err     error         // of the last lookup
}

// newSRVSource answers as source is configured, with the weight and priority of each SRV record (RFC 2782). The
// records' own numbers for priorities become tiers 0, 1, 2; a weight of 0 becomes the smallest there is.
func newSRVSource(ctx caddy.Context, source *reverseproxy.SRVUpstreams) *dnsSource {
	resolver := resolverOf(source.Resolver)
	s := newDNSSource(ctx, time.Duration(source.Refresh))
	s.name = joined(source.Service, source.Proto, source.Name)
	s.shown = func(name string) string {
		part := strings.SplitN(name, " ", 3)
		if part[0] == "" && part[1] == "" {
			return part[2]
		}
		return "_" + part[0] + "._" + part[1] + "." + part[2]
	}
	s.lookup = func(ctx context.Context, name string) ([]*Upstream, error) {
		part := strings.SplitN(name, " ", 3)
		records, err := resolver.lookUpSRV(ctx, part[0], part[1], part[2])
		if len(records) == 0 {
			return nil, errors.Join(err, fmt.Errorf("no SRV record for %s", strings.TrimSpace(name)))
		}
		return srvUpstreams(records, source.DialNetwork), nil
	}
	return s
}

// srvUpstreams turns SRV records into backends. Resolvers shuffle records; equal answers have to look alike.
func srvUpstreams(records []*net.SRV, network string) []*Upstream {
	slices.SortFunc(records, func(a, b *net.SRV) int {
		return cmp.Or(cmp.Compare(a.Priority, b.Priority), cmp.Compare(b.Weight, a.Weight),
			cmp.Compare(a.Target, b.Target), cmp.Compare(a.Port, b.Port))
	})
	out := make([]*Upstream, len(records))
	tier := 0
	for i, record := range records {
		if i > 0 && record.Priority != records[i-1].Priority {
			tier++
		}
		dial := net.JoinHostPort(strings.TrimSuffix(record.Target, "."), strconv.Itoa(int(record.Port)))
		if network != "" {
			dial = network + "/" + dial
		}
		weight := max(int(record.Weight), 1)
		out[i] = &Upstream{Dial: dial, Weight: &weight, Priority: min(tier, maxPriority)}
	}
	return out
}

// joined fills the placeholders of texts in, for a request, and joins them with spaces.
func joined(texts ...string) func(r *http.Request) string {
	if constant := strings.Join(texts, " "); !strings.Contains(constant, "{") {
		return func(*http.Request) string { return constant }
	}
	return func(r *http.Request) string {
		repl := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
		filled := make([]string, len(texts))
		for i, text := range texts {
			filled[i] = repl.ReplaceAll(text, "")
		}
		return strings.Join(filled, " ")
	}
}

// newASource answers with the A and AAAA records of a name, as source is configured.
func newASource(ctx caddy.Context, source *reverseproxy.AUpstreams) *dnsSource {
	resolver := resolverOf(source.Resolver)
	network := "ip"
	if v := source.Versions; v != nil {
		four, six := v.IPv4 != nil && *v.IPv4, v.IPv6 != nil && *v.IPv6
		switch {
		case four && !six, v.IPv4 == nil && v.IPv6 != nil && !*v.IPv6:
			network = "ip4"
		case six && !four, v.IPv6 == nil && v.IPv4 != nil && !*v.IPv4:
			network = "ip6"
		}
	}
	s := newDNSSource(ctx, time.Duration(source.Refresh))
	s.name = joined(source.Name, source.Port)
	s.shown = func(name string) string { return strings.Replace(name, " ", ":", 1) }
	s.lookup = func(ctx context.Context, name string) ([]*Upstream, error) {
		host, port, _ := strings.Cut(name, " ")
		addresses, err := resolver.lookUpIP(ctx, network, host)
		if err != nil {
			return nil, err
		}
		slices.SortFunc(addresses, netip.Addr.Compare)
		out := make([]*Upstream, len(addresses))
		for i, a := range addresses {
			out[i] = &Upstream{Dial: net.JoinHostPort(a.Unmap().String(), port)}
		}
		return out, nil
	}
	return s
}

// resolverOf asks the DNS servers of reverse_proxy's resolver option.
func resolverOf(r *reverseproxy.UpstreamResolver) resolver {
	if r == nil {
		return resolverFor(nil)
	}
	return resolverFor(withoutNetworks(r.Addresses))
}

func newDNSSource(ctx caddy.Context, refresh time.Duration) *dnsSource {
	return &dnsSource{refresh: refresh, ctx: ctx, log: ctx.Logger(), names: make(map[string]*dnsName)}
}

// find returns the entry of a name. When there are too many another one is dropped, whichever comes.
func (s *dnsSource) find(name string) *dnsName {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.names[name]
	if n == nil {
		for other := range s.names {
			if len(s.names) < maxDynamicNames {
				break
			}
			delete(s.names, other)
		}
		n = new(dnsName)
		s.names[name] = n
	}
	return n
}

// ask implements dynamicSource.
func (s *dnsSource) ask(r *http.Request, a *dynamicAnswer) error {
	name := s.name(r)
	named, err := s.upstreams(r, name)
	a.add(name, part{own: named})
	return err
}

func (s *dnsSource) label(key string) string { return s.shown(key) }

// upstreams is the answer for a name. Only the first requests for a name wait, and only for that
// name.
func (s *dnsSource) upstreams(r *http.Request, name string) ([]*Upstream, error) {
	n := s.find(name)
	n.mu.Lock()
	// Jitter keeps names that came together from being looked up together for ever.
	old := time.Since(n.at) > s.refresh-time.Duration(rand.Int64N(int64(s.refresh/10)+1))
	if old && n.pending == nil {
		n.pending = make(chan struct{})
		go s.update(name, n)
	}
	answer, pending := n.answer, n.pending
	n.mu.Unlock()
	if answer != nil {
		return answer, nil
	}
	if pending != nil {
		select {
		case <-pending:
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.answer == nil {
		return nil, n.err
	}
	return n.answer, nil
}

// update looks a name up. It ends with the lookup, or with the configuration.
func (s *dnsSource) update(name string, n *dnsName) {
	ctx, cancel := context.WithTimeout(s.ctx, lookupTimeout)
	defer cancel()
	answer, err := s.lookup(ctx, name)

	n.mu.Lock()
	defer n.mu.Unlock()
	n.at, n.err = time.Now(), err
	if err == nil {
		n.answer = answer
	} else {
		// A good answer is kept; the next request asks again, but not each of them.
		n.at = n.at.Add(dnsRetryAfter - s.refresh)
		s.log.Warn("name does not resolve", zap.String("name", name), zap.Int("kept", len(n.answer)), zap.Error(err))
	}
	close(n.pending)
	n.pending = nil
}

// failed implements dynamicSource: the answer is old, whatever its age.
func (s *dnsSource) failed(r *http.Request) error {
	n := s.find(s.name(r))
	n.mu.Lock()
	defer n.mu.Unlock()
	// One lookup in a while is enough, however many requests fail.
	if time.Since(n.at) > dnsRetryAfter {
		n.at = time.Time{}
	}
	return nil
}

// dnsRetryAfter is the least time between two lookups of a name.
const dnsRetryAfter = time.Second
