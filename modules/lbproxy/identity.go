package lbproxy

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
)

// identity says which pool it is, over reloads.
type identity struct {
	// name is for people: logs, metrics and the admin API. Counters belong to it.
	name string

	// key is equal for configurations of one pool whose requests may be served by each other: those
	// who wait go on with the pool of this key after a reload. Empty while it is not known.
	key string
}

// ownKey begins the keys of pools without a configured name, which no configured name can begin
// with.
const ownKey = "\x00"

// namedIdentity is the identity of a pool that was given a name.
func namedIdentity(name string) identity { return identity{name: name, key: name} }

// counterKey is what the pool's counters and connections belong to. They stay when the set of
// backends changes.
func (p *pool) counterKey() string {
	if p.anonymous {
		return ownKey + p.Name()
	}
	return p.Name()
}

// identify gives the pool its identity, and with it what earlier configurations of it have left:
// who waits, budgets, counters, connections. It comes before anything of the pool runs.
func (p *pool) identify(id identity) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.released {
		return
	}
	p.key, p.state = id.key, acquirePoolState(id.key)
	p.Identify(id.name, p.config.options(p.state).Queue)
	p.log = operatorLog(p.ctx).With(zap.String("pool", id.name))
	for _, e := range *p.entries.Load() {
		e.count(p)
	}
	if p.owner {
		p.ways.identify(p.counterKey())
		p.noteModules(p.ways, p.specs)
	}
}

// identifyAll finds out where the handlers stand whose pools were given no name, and gives these
// their identities. All apps have to be provisioned. It does so once.
func (a *App) identifyAll() {
	a.identifying.Do(func() {
		s := &sites{uses: make(map[*pool][]SiteStatus), places: make(map[*pool]place)}
		if a.http != nil {
			handlers := findHandlers(a.http)
			a.unreachable = unreachable(handlers)
			s.collect(handlers)
		}
		taken := make(map[string]int)
		for name, p := range a.shared {
			taken[name]++
			p.uses = s.uses[p]
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		for _, p := range a.anonymous {
			s.add(p, p.written)
		}
		ids := s.identities()
		for _, id := range ids {
			taken[id.name]++
		}
		for _, p := range s.order {
			id := ids[p]
			if taken[id.name] > 1 {
				id.name += "~" + checksum(id.key)
			}
			p.uses = s.uses[p]
			p.identify(id)
			a.byKey[id.key] = p
		}
		a.identified.Store(true)
	})
}

// sites is what uses the pools of a configuration.
type sites struct {
	uses   map[*pool][]SiteStatus
	places map[*pool]place
	order  []*pool // those with a place, as their handlers stand in the configuration
}

func (s *sites) collect(handlers []found) {
	for _, f := range handlers {
		s.use(f.handler.pool, f.at, f.invoked)
		if f.handler.mirrors == nil {
			continue
		}
		for _, m := range f.handler.mirrors.all {
			s.use(m.pool, f.at.in(step{holder: "mirror"}), f.invoked)
		}
	}
}

// use notes that a handler in this place uses the pool.
func (s *sites) use(p *pool, at place, invoked bool) {
	if p == nil {
		return
	}
	if p.anonymous && !invoked {
		s.add(p, at)
	}
	s.uses[p] = append(s.uses[p], at.status())
}

// add gives a pool its place, unless it has one.
func (s *sites) add(p *pool, at place) {
	if _, ok := s.places[p]; !ok {
		s.places[p] = at
		s.order = append(s.order, p)
	}
}

// identities are those of all pools with a place. A pool is known by its place and its backends.
// Where one place has several pools their names tell of their backends, too; only pools that are
// equal in both are numbered.
func (s *sites) identities() map[*pool]identity {
	type spot struct{ place, backends string }
	several := make(map[string]map[string]bool) // the sets of backends in a place
	for p, at := range s.places {
		key := at.key()
		if several[key] == nil {
			several[key] = make(map[string]bool)
		}
		several[key][p.backendSet()] = true
	}
	equal := make(map[spot]int)
	ids := make(map[*pool]identity, len(s.order))
	for _, p := range s.order {
		at := s.places[p]
		here := spot{at.key(), p.backendSet()}
		id := identity{name: at.name(), key: ownKey + here.place + "\n" + here.backends}
		if id.name == "" || len(several[here.place]) > 1 {
			id.name = strings.TrimSpace(id.name + " " + p.backendSetName())
		}
		if equal[here]++; equal[here] > 1 {
			id.name += fmt.Sprintf("#%d", equal[here])
			id.key += fmt.Sprintf("#%d", equal[here])
		}
		ids[p] = id
	}
	return ids
}

// backendSet tells the configured sets of backends of pools apart. The scheme is no part of it: an
// address that TLS was switched on for is the same server.
func (p *pool) backendSet() string {
	text, _ := json.Marshal([]any{p.dials(), p.config.DynamicUpstreamsRaw}) // texts; it cannot fail
	return string(text)
}

// dials are the addresses of the configured backends, in order.
func (p *pool) dials() []string {
	dials := make([]string, len(p.specs))
	for i, s := range p.specs {
		dials[i] = s.address.String()
	}
	slices.Sort(dials)
	return dials
}

// backendSetName is a set of backends for people: its first address, and how many more there are.
func (p *pool) backendSetName() string {
	dials := p.dials()
	switch {
	case p.dynamic != nil:
		return "dynamic~" + checksum(p.backendSet())
	case len(dials) == 1:
		return dials[0]
	}
	return fmt.Sprintf("%s+%d~%s", dials[0], len(dials)-1, checksum(p.backendSet()))
}

// provisionedPlace is where a module stands as far as is known while it is provisioned: its server,
// and the modules that it is within.
func provisionedPlace(ctx caddy.Context) place {
	var p place
	p.server, _ = ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	modules := ctx.Modules()
	for i, m := range modules {
		if i < len(modules)-1 && m.CaddyModule().ID.Namespace() != "" { // neither an app nor the module itself
			p = p.in(step{holder: holderName(m)})
		}
	}
	return p
}
