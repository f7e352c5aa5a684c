package selection

import (
	"fmt"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/cespare/xxhash/v2"

	"github.com/caddylb/caddy-lb/internal/module"
	"github.com/caddylb/caddy-lb/lb"
)

func init() {
	caddy.RegisterModule(Maglev{})
}

const (
	// defaultTableSize is the paper's smaller table, good for up to 655 backends of equal weight at a
	// difference of 1 % between them.
	defaultTableSize = 65537

	// maxTableSize is the largest table, a prime as well.
	maxTableSize = 5000011
)

// Maglev looks a key up in the table of Google's Maglev, in constant time: backends have the same share of the
// keys as nearly as the table allows, and when the set changes hardly more keys move than have to. When a
// backend is down its keys alone move, each to the next distinct backend in the table.
type Maglev struct {
	Hashing

	// TableSize is the number of entries, a prime from 2 to 5000011. A hundred times the number of
	// backends keeps shares within 1 %; with fewer entries than backends the pool does not load.
	// Default: 65537.
	TableSize int `json:"table_size,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (Maglev) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: Namespace + ".maglev", New: func() caddy.Module { return new(Maglev) }}
}

// Validate implements [caddy.Validator].
func (m *Maglev) Validate() error {
	if m.TableSize != 0 {
		if err := checkTableSize(m.TableSize); err != nil {
			return fmt.Errorf("maglev: %w", err)
		}
	}
	return m.Hashing.Validate()
}

func checkTableSize(n int) error {
	if n < 2 || n > maxTableSize {
		return fmt.Errorf("table_size %d is not within 2 and %d", n, maxTableSize)
	}
	if isPrime(n) {
		return nil
	}
	below, above := primesAround(n)
	return fmt.Errorf("table_size %d is not a prime: write %d or %d", n, below, above)
}

// NewPicker implements [lb.Policy].
func (m *Maglev) NewPicker(tier *lb.Tier, prev lb.Picker) (lb.Picker, error) {
	p := &maglevPicker{gate: newGate(tier, &m.Hashing)}
	if old, ok := prev.(*maglevPicker); ok && old.tier.Generation == tier.Generation {
		p.table, p.size = old.table, old.size
		return p, nil
	}
	size := m.TableSize
	if size == 0 {
		size = defaultTableSize
	}
	n := len(tier.Members)
	if n > size {
		_, above := primesAround(n)
		return nil, fmt.Errorf("maglev: %d backends do not fit into a table_size of %d: write a prime of at least %d, "+
			"better one near %d", n, size, above, min(100*n, maxTableSize))
	}
	if n >= maxTableMembers {
		return nil, fmt.Errorf("maglev: %d backends of one priority are more than %d: write lb_policy rendezvous", n,
			maxTableMembers-1)
	}
	p.size = newDivisor(uint64(size))
	if totalWeight(tier.Members) > 0 {
		p.table = buildMaglev(tier.Members, uint32(size))
	}
	return p, nil
}

// UnmarshalCaddyfile sets up the policy from Caddyfile tokens:
//
//	maglev {
//		hash_key       <placeholder>
//		balance_factor <f>
//		max_iterations <n>
//		table_size     <prime>
//	}
func (m *Maglev) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if err := module.NoMore(d, "maglev"); err != nil {
		return err
	}
	return m.unmarshalBlock(d, func(option string) (bool, error) {
		if option != "table_size" {
			return false, nil
		}
		n, err := intArg(d, "table_size <prime>", 2)
		if err != nil {
			return true, err
		}
		if err := checkTableSize(n); err != nil {
			return true, d.WrapErr(err)
		}
		m.TableSize = n
		return true, nil
	}, "table_size")
}

type maglevPicker struct {
	gate
	table []uint16
	size  divisor
}

// Pick implements [lb.Picker].
func (m *maglevPicker) Pick(p *lb.Pick) *lb.Member {
	if len(m.members) == 0 {
		return nil
	}
	at := int(m.size.mod(xxhash.Sum64String(p.Key)))
	if m.open && p.Tried.Len() == 0 {
		return m.tier.Members[m.table[at]]
	}
	return m.walk(p, m.table, at)
}

// Interface guards.
var (
	_ lb.Policy             = (*Maglev)(nil)
	_ caddyfile.Unmarshaler = (*Maglev)(nil)
)
