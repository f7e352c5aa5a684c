package lbproxy

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
)

// lookupTimeout bounds one DNS lookup.
const lookupTimeout = 5 * time.Second

// resolutions holds what names resolved to last, over reloads: a configuration that loads while DNS is away
// goes on with what the one before it knew.
var resolutions = caddy.NewUsagePool()

// resolution is what one name resolved to.
type resolution struct {
	// last is nil before the first answer.
	last atomic.Pointer[answer]

	failures atomic.Uint64
}

// answer is one good answer: at least one address, sorted.
type answer struct {
	addresses []netip.Addr
	at        time.Time
}

func (a *answer) age() time.Duration { return time.Since(a.at) }

// lookup keeps one name of a pool resolved. Each has its own goroutine, so that one slow name delays no other.
type lookup struct {
	name     string
	key      string
	resolver resolver
	state    *resolution

	cancel context.CancelFunc
	done   sync.WaitGroup
}

// lookUpNames resolves every name of the pool once. A name without an address fails the configuration, unless
// it is known from before.
func (p *pool) lookUpNames() error {
	servers := p.config.lookupServers()
	resolver := resolverFor(servers)
	for _, spec := range p.specs {
		if spec.name == "" || p.lookupOf(spec.name) != nil {
			continue
		}
		key := fmt.Sprint(spec.name, servers)
		v, _ := resolutions.LoadOrStore(key, new(resolution))
		l := &lookup{name: spec.name, key: key, resolver: resolver, state: v.(*resolution)}
		p.lookups = append(p.lookups, l)

		if known := l.state.last.Load(); known != nil && known.age() < time.Duration(p.config.UpdateFrequency) {
			continue
		}
		if err := l.resolve(p.ctx); err != nil {
			if l.state.last.Load() == nil {
				return fmt.Errorf("backend %s resolves to nothing: %w: mend the name, name the DNS servers that know it with "+
					"resolvers beside update_frequency, or leave out update_frequency to resolve it when connecting", l.name, err)
			}
			p.log.Warn("name does not resolve; keeping the last good addresses", zap.String("name", l.name), zap.Error(err))
		}
	}
	return nil
}

// lookupOf returns the lookup of a name, nil for a member that has none.
func (p *pool) lookupOf(name string) *lookup {
	i := slices.IndexFunc(p.lookups, func(l *lookup) bool { return l.name == name })
	if i < 0 {
		return nil
	}
	return p.lookups[i]
}

// expand turns the configured members into those that are there now: one for each address of a name.
func (p *pool) expand() []memberSpec {
	if len(p.lookups) == 0 {
		return p.specs
	}
	seen := make(map[string]bool)
	var specs []memberSpec
	add := func(s memberSpec) {
		// Two names may resolve to one address; the one written first stands.
		if s.id = s.address.ID(); !seen[s.id] {
			seen[s.id] = true
			specs = append(specs, s)
		}
	}
	for _, s := range p.specs {
		l := p.lookupOf(s.name)
		if l == nil {
			add(s)
			continue
		}
		for _, ip := range l.state.last.Load().addresses {
			one := s
			one.address.Host = ip.String()
			add(one)
		}
	}
	return specs
}

// resolve asks DNS once and keeps a good answer.
func (l *lookup) resolve(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	addresses, err := l.resolver.lookUpIP(ctx, "ip", l.name)
	if err == nil && len(addresses) == 0 {
		err = fmt.Errorf("no address for %s", l.name)
	}
	if err != nil {
		l.state.failures.Add(1)
		return err
	}
	for i, a := range addresses {
		addresses[i] = a.Unmap()
	}
	slices.SortFunc(addresses, func(a, b netip.Addr) int { return a.Compare(b) })
	addresses = slices.Compact(addresses)
	l.state.last.Store(&answer{addresses: addresses, at: time.Now()})
	return nil
}

// start resolves the name again every update_frequency, until release.
func (l *lookup) start(p *pool) {
	ctx, cancel := context.WithCancel(p.ctx)
	l.cancel = cancel
	l.done.Go(func() {
		ticker := time.NewTicker(time.Duration(p.config.UpdateFrequency))
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				l.update(ctx, p)
			}
		}
	})
}

func (l *lookup) update(ctx context.Context, p *pool) {
	err := l.resolve(ctx)
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		p.log.Warn("name does not resolve; keeping the last good addresses", zap.String("name", l.name), zap.Error(err))
		return
	}
	// The answer may have been taken by another pool that shares the name, so this pool compares with what it
	// has itself.
	if !p.isCurrent() {
		before := p.addressesOf(l.name)
		if err := p.rebuild(); err != nil {
			p.log.Error("keeping the backends as they were", zap.String("name", l.name), zap.Error(err))
			return
		}
		p.tellMoved(l, before)
	}
}

// isCurrent reports whether the pool's members are those that its names stand for now.
func (p *pool) isCurrent() bool {
	members, specs := p.Snapshot().Members, p.expand()
	have := make(map[string]string, len(members))
	for _, m := range members {
		have[m.Address().ID()] = m.Name
	}
	return len(members) == len(specs) && !slices.ContainsFunc(specs, func(s memberSpec) bool {
		name, ok := have[s.id]
		return !ok || name != s.name
	})
}

// addressesOf are the addresses that the pool has for a name.
func (p *pool) addressesOf(name string) map[string]bool {
	have := make(map[string]bool)
	for _, m := range p.Snapshot().Members {
		if m.Name == name {
			have[m.Address().Host] = true
		}
	}
	return have
}

// maxToldAddresses bounds the addresses of one log line: a name may have thousands.
const maxToldAddresses = 10

// tellMoved logs that a name has other addresses than before.
func (p *pool) tellMoved(l *lookup, before map[string]bool) {
	now := p.addressesOf(l.name)
	told := make([]string, 0, maxToldAddresses)
	came := 0
	for _, a := range slices.Sorted(maps.Keys(now)) {
		if before[a] {
			continue
		}
		if came++; len(told) < maxToldAddresses {
			told = append(told, a)
		}
	}
	p.log.Info("name resolves to other addresses", zap.String("name", l.name), zap.Int("came", came),
		zap.Int("went", len(before)-(len(now)-came)), zap.Int("addresses", len(now)), zap.Strings("new", told))
}

// release ends the lookups and forgets the name when nobody else needs it.
func (l *lookup) release() {
	if l.cancel != nil {
		l.cancel()
		l.done.Wait()
	}
	_, _ = resolutions.Delete(l.key)
}
