// Package nearby is a selection policy: backends in a network of one's own come first, for what lies in another building is slower, or
// costs money.
package nearby

import (
	"errors"
	"net/netip"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddylb/caddy-lb/lb"
	"github.com/caddylb/caddy-lb/modules/selection"
)

func init() { caddy.RegisterModule(new(Nearby)) }

// Nearby picks in turn among the backends of a network, and among the others when none of those can take the request.
type Nearby struct {
	// Network is what is near, such as 10.1.0.0/16.
	Network netip.Prefix `json:"network"`
}

// CaddyModule returns the Caddy module information.
func (*Nearby) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: selection.Namespace + ".nearby", New: func() caddy.Module { return new(Nearby) }}
}

// Validate refuses a policy without a network when the configuration is loaded.
func (n *Nearby) Validate() error {
	if !n.Network.IsValid() {
		return errors.New("nearby: network is not set: write one such as 10.1.0.0/16")
	}
	return nil
}

// NewPicker sorts the backends. It is called again whenever one of them comes, goes, fails or recovers.
func (n *Nearby) NewPicker(tier *lb.Tier, _ lb.Picker) (lb.Picker, error) {
	p := new(picker)
	for _, m := range tier.Selectable {
		if ip, ok := m.Address().IP(); ok && n.Network.Contains(ip) {
			p.near = append(p.near, m)
		} else {
			p.far = append(p.far, m)
		}
	}
	return p, nil
}

type picker struct {
	near, far []*lb.Member
	turns     [lb.Cursors]atomic.Uint64 // a retry takes no turn from first tries
}

// Pick runs for many requests at once: what changes is atomic, and nothing is allocated.
func (p *picker) Pick(pick *lb.Pick) *lb.Member {
	turn := p.turns[pick.Cursor()].Add(1)
	for _, members := range [...][]*lb.Member{p.near, p.far} {
		n := uint64(len(members))
		for i := range n {
			if m := members[(turn+i)%n]; pick.Accepts(m) {
				return m
			}
		}
	}
	return nil
}

// UnmarshalCaddyfile reads: lb_policy nearby <network>
func (n *Nearby) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the policy's name
	var text string
	if !d.AllArgs(&text) {
		return d.ArgErr()
	}
	if err := n.Network.UnmarshalText([]byte(text)); err != nil {
		return d.Errf("nearby: '%s' is no network: write one such as 10.1.0.0/16", text)
	}
	return nil
}

// Interface guards
var (
	_ lb.Policy             = (*Nearby)(nil)
	_ caddy.Validator       = (*Nearby)(nil)
	_ caddyfile.Unmarshaler = (*Nearby)(nil)
)
