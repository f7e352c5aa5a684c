package selection

import (
	"sort"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddylb/caddy-lb/internal/module"
	"github.com/caddylb/caddy-lb/lb"
)

func init() {
	caddy.RegisterModule(FNVHash{})
}

// FNVHash makes the choices of Pingora's FNVHash: the 64-bit FNV-1a hash of the key, modulo the sum of the
// weights, chooses from the backends in order of address, each repeated by weight. When that one is not
// available the hash of the hash (its 8 bytes, little-endian) chooses from the backends without repetition, and so on:
// fallbacks do not heed weights. After a number of steps without success backends are tried in order, so that
// no key is left without one.
//
// A change of the set or of the weights moves most keys; [Maglev] and [Rendezvous] move few.
type FNVHash struct {
	Hashing
}

// CaddyModule returns the Caddy module information.
func (FNVHash) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: Namespace + ".fnv_hash", New: func() caddy.Module { return new(FNVHash) }}
}

// NewPicker implements [lb.Policy].
func (f *FNVHash) NewPicker(tier *lb.Tier, prev lb.Picker) (lb.Picker, error) {
	p := &fnvPicker{gate: newGate(tier, &f.Hashing)}
	if old, ok := prev.(*fnvPicker); ok && old.tier.Generation == tier.Generation {
		p.fnvList = old.fnvList
	} else {
		p.fnvList = newFNVList(tier.Members)
	}
	return p, nil
}

// UnmarshalCaddyfile sets up the policy from Caddyfile tokens:
//
//	fnv_hash {
//		hash_key       <placeholder>
//		balance_factor <f>
//		max_iterations <n>
//	}
func (f *FNVHash) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if err := module.NoMore(d, "fnv_hash"); err != nil {
		return err
	}
	return f.unmarshalBlock(d, nil)
}

// Parameters of the 64-bit FNV hashes (G. Fowler, L. C. Noll, K.-P. Vo).
const (
	fnvOffset = 0xcbf29ce484222325
	fnvPrime  = 0x100000001b3
)

// fnv1a is the 64-bit FNV-1a hash of s.
func fnv1a(s string) uint64 {
	h := uint64(fnvOffset)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * fnvPrime
	}
	return h
}

// fnv1aOf is the 64-bit FNV-1a hash of the 8 bytes of x, least significant first.
func fnv1aOf(x uint64) uint64 {
	h := uint64(fnvOffset)
	for range 8 {
		h = (h ^ x&0xff) * fnvPrime
		x >>= 8
	}
	return h
}

// maxFNVTable is the length up to which the list of backends repeated by weight is written out.
const maxFNVTable = 1 << 18

// fnvList is the members of a tier as a first pick and as fallbacks see them.
type fnvList struct {
	weights divisor // the sum of the weights
	count   divisor // the number of members
	table   []uint16
	ends    []uint64 // running sums of the weights, where the list is too long to be written out
}

func newFNVList(members []*lb.Member) *fnvList {
	l := &fnvList{count: newDivisor(uint64(len(members)))}
	total := totalWeight(members)
	if total == 0 {
		return l
	}
	l.weights = newDivisor(total)
	if total <= maxFNVTable && len(members) <= maxTableMembers {
		for i, m := range members {
			for range m.Weight {
				l.table = append(l.table, uint16(i))
			}
		}
		return l
	}
	var end uint64
	for _, m := range members {
		end += uint64(m.Weight)
		l.ends = append(l.ends, end)
	}
	return l
}

// first is the index of the member that a hash chooses by weight.
func (l *fnvList) first(hash uint64) int {
	place := l.weights.mod(hash)
	if l.table != nil {
		return int(l.table[place])
	}
	return sort.Search(len(l.ends), func(i int) bool { return l.ends[i] > place })
}

type fnvPicker struct {
	gate
	*fnvList
}

// Pick implements [lb.Picker].
func (f *fnvPicker) Pick(p *lb.Pick) *lb.Member {
	if len(f.members) == 0 {
		return nil
	}
	hash := fnv1a(p.Key)
	i := f.first(hash)
	if f.open && p.Tried.Len() == 0 {
		return f.tier.Members[i]
	}
	return f.fallback(p, hash, i)
}

// fallback goes on from the i-th member, which hash chose.
func (f *fnvPicker) fallback(p *lb.Pick, hash uint64, i int) *lb.Member {
	n := len(f.tier.Members)
	steps := f.maxSteps
	if steps == 0 {
		if !f.any(p) {
			return nil
		}
		steps = 4*n + 16
	}
	o := offer{gate: &f.gate, pick: p, room: f.wantsRoom(p)}
	for range steps {
		if o.take(i) {
			return f.tier.Members[i]
		}
		hash = fnv1aOf(hash)
		i = int(f.count.mod(hash))
	}
	if f.maxSteps > 0 {
		return o.owner
	}
	for range n {
		if o.take(i) {
			return f.tier.Members[i]
		}
		i = (i + 1) % n
	}
	return o.owner
}

// Interface guards.
var (
	_ lb.Policy             = (*FNVHash)(nil)
	_ caddyfile.Unmarshaler = (*FNVHash)(nil)
)
