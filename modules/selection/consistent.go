package selection

import (
	"fmt"
	"hash/crc32"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddylb/caddy-lb/internal/module"
	"github.com/caddylb/caddy-lb/lb"
)

func init() {
	caddy.RegisterModule(Consistent{})
	caddy.RegisterModule(Ketama{})
}

// Values of [Consistent.KetamaCompat].
const (
	KetamaPingora = "pingora"
	KetamaNginx   = "nginx"
)

// defaultPoints is the number of points for each unit of weight in Pingora and nginx.
const defaultPoints = 160

// Consistent is a ketama ring, compatible with Pingora's to the byte: a key belongs to the first point at or
// above its CRC-32. When a backend goes, its keys alone move, each to the next distinct backend on the ring.
//
// An IPv6 address is hashed without brackets and zone, and a Unix socket as its path with an empty port.
type Consistent struct {
	Hashing

	// Points is the number of points for each unit of weight. Default: 160.
	Points int `json:"points,omitempty"`

	// KetamaCompat says whose rings are matched: "pingora" hashes addresses; "nginx" hashes hosts as they are
	// written in the configuration, with brackets around IPv6. Default: "pingora".
	KetamaCompat string `json:"ketama_compat,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (Consistent) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: Namespace + ".consistent", New: func() caddy.Module { return new(Consistent) }}
}

// Ketama is [Consistent] under the other name it is known by.
type Ketama struct {
	Consistent
}

// CaddyModule returns the Caddy module information.
func (Ketama) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: Namespace + ".ketama", New: func() caddy.Module { return new(Ketama) }}
}

// Validate implements [caddy.Validator].
func (c *Consistent) Validate() error {
	if c.Points < 0 || c.Points > maxPoints {
		return fmt.Errorf("points is %d: write a number from 1 to %d", c.Points, maxPoints)
	}
	switch c.KetamaCompat {
	case "", KetamaPingora, KetamaNginx:
	default:
		return fmt.Errorf("ketama_compat is '%s': write pingora or nginx", c.KetamaCompat)
	}
	return c.Hashing.Validate()
}

// NewPicker implements [lb.Policy].
func (c *Consistent) NewPicker(tier *lb.Tier, prev lb.Picker) (lb.Picker, error) {
	p := &ringPicker{gate: newGate(tier, &c.Hashing)}
	if old, ok := prev.(*ringPicker); ok && old.tier.Generation == tier.Generation {
		p.ring = old.ring
		return p, nil
	}
	if len(tier.Members) > maxTableMembers {
		return nil, fmt.Errorf("consistent: %d backends of one priority are more than %d: write lb_policy rendezvous",
			len(tier.Members), maxTableMembers)
	}
	points, text := c.Points, pingoraText
	if points == 0 {
		points = defaultPoints
	}
	if c.KetamaCompat == KetamaNginx {
		text = nginxText
	}
	var err error
	if p.ring, err = buildRing(tier.Members, points, text); err != nil {
		return nil, fmt.Errorf("consistent: %w", err)
	}
	return p, nil
}

// UnmarshalCaddyfile sets up the policy from Caddyfile tokens:
//
//	consistent {
//		hash_key       <placeholder>
//		balance_factor <f>
//		max_iterations <n>
//		points         <n>
//		ketama_compat  pingora|nginx
//	}
func (c *Consistent) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if err := module.NoMore(d, d.Val()); err != nil {
		return err
	}
	return c.unmarshalBlock(d, func(option string) (bool, error) {
		switch option {
		case "points":
			n, err := intArg(d, "points <n>", 1)
			c.Points = n
			return true, err
		case "ketama_compat":
			value, err := module.OneArg(d, "ketama_compat pingora|nginx")
			if err == nil && value != KetamaPingora && value != KetamaNginx {
				err = d.Errf("unknown ketama_compat '%s': write pingora or nginx", value)
			}
			c.KetamaCompat = value
			return true, err
		}
		return false, nil
	}, "points", "ketama_compat")
}

// pingoraText is what Pingora hashes of an address: IP and port.
func pingoraText(m *lb.Member) (host, port string) {
	a := m.Address()
	if ip, ok := a.IP(); ok {
		return ip.WithZone("").String(), a.Port
	}
	return a.Host, a.Port
}

// nginxText is what nginx hashes of a server: host and port as its configuration has them.
func nginxText(m *lb.Member) (host, port string) {
	a := m.Address()
	if m.Name != "" {
		return m.Name, a.Port
	}
	if ip, ok := a.IP(); ok && ip.Is6() {
		return "[" + a.Host + "]", a.Port
	}
	return a.Host, a.Port
}

type ringPicker struct {
	gate
	ring *ring
}

// Pick implements [lb.Picker].
func (r *ringPicker) Pick(p *lb.Pick) *lb.Member {
	if len(r.members) == 0 {
		return nil
	}
	at := r.ring.at(crc32.ChecksumIEEE(textBytes(p.Key)))
	if r.open && p.Tried.Len() == 0 {
		return r.tier.Members[r.ring.owners[at]]
	}
	return r.walk(p, r.ring.owners, at)
}

// Interface guards.
var (
	_ lb.Policy             = (*Consistent)(nil)
	_ caddyfile.Unmarshaler = (*Consistent)(nil)
	_ lb.Policy             = (*Ketama)(nil)
	_ caddyfile.Unmarshaler = (*Ketama)(nil)
)
