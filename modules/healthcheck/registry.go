package healthcheck

import (
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddylb/caddy-lb/lb"
)

// identity is what two checks have to share to be one.
type identity struct {
	backend, name, serverName, config string
}

// relation is what two checks have to share for one to take over the state of the other.
type relation struct {
	backend, kind string
}

// monitors holds every monitor that is referred to, by identity.
var monitors = caddy.NewUsagePool()

// relatives finds the monitors of one backend and kind, in the order in which they came to be.
var relatives = struct {
	sync.Mutex
	of map[relation][]*Monitor
}{of: make(map[relation][]*Monitor)}

// Acquire returns the monitor for this check of this backend, and takes a reference that
// [Monitor.Release] gives back. cfg is provisioned; t is the backend with its own port, since that of the
// check is filled in here.
//
// A monitor that is new takes the state of a relative, if there is one, and otherwise begins as Initial says:
// an edited interval does not make a dead backend look alive. Nothing is started, so that a configuration that
// never comes to run leaves no trace.
func Acquire(cfg *Config, t Target) *Monitor {
	backend := t.Backend
	if backend == (lb.Address{}) {
		backend = t.Address
	}
	t.Backend = backend
	if cfg.Port != 0 && !t.Address.IsUnix() {
		t.Address.Port = strconv.Itoa(cfg.Port)
	}
	id := identity{backend: backend.ID(), name: t.Name, serverName: t.ServerName, config: cfg.key}

	v, _, _ := monitors.LoadOrNew(id, func() (caddy.Destructor, error) {
		m := newMonitor(id, cfg, t, time.Now())
		m.seed()
		remember(m)
		return m, nil
	})
	return v.(*Monitor)
}

// relation is what m's relatives share with it.
func (m *Monitor) relation() relation { return relation{m.id.backend, m.kind} }

func remember(m *Monitor) {
	relatives.Lock()
	defer relatives.Unlock()
	r := m.relation()
	relatives.of[r] = append(relatives.of[r], m)
}

func forget(m *Monitor) {
	relatives.Lock()
	defer relatives.Unlock()
	r := m.relation()
	rest := slices.DeleteFunc(relatives.of[r], func(o *Monitor) bool { return o == m })
	relatives.of[r] = rest
	if len(rest) == 0 {
		delete(relatives.of, r)
	}
}

// seed gives m the state of its closest relative, as long as m has no result of its own. Closest is one with
// the same check module, of which only common options were edited; then the newest.
func (m *Monitor) seed() {
	relatives.Lock()
	others := slices.Clone(relatives.of[m.relation()])
	relatives.Unlock()

	var from state
	found, same := false, false
	for _, o := range others {
		if o == m || same && o.module != m.module {
			continue
		}
		if s, known := o.known(); known {
			from, found, same = s, true, o.module == m.module
		}
	}
	if found {
		m.inherit(from)
	}
}
