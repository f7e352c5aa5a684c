package lbproxy

import (
	"hash/maphash"
	"iter"
	"slices"
	"unsafe"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

// dynamicAnswer is the backends that a dynamic source named for a request.
type dynamicAnswer struct {
	key   string // what the source was asked for
	parts []part // one from each source

	// exact says that the key does not tell what the answer depends on: the next request may have
	// another one, and this request is for the backends of this one only.
	exact bool
}

// part is what one source named.
type part struct {
	own []*Upstream // of this package's sources: nobody changes them

	// foreign is of modules written for reverse_proxy, which may give the same backends in a new
	// slice each time.
	foreign []*reverseproxy.Upstream
	weigher WeightedSource // nil when the module gives no weights
}

// heldPart is a part as it is kept.
type heldPart struct {
	own     []*Upstream
	foreign []foreignUpstream
}

// foreignUpstream is a backend as a module named it.
type foreignUpstream struct {
	dial                string
	maxRequests, weight int
}

// add joins what a source named for its key.
func (a *dynamicAnswer) add(key string, p part) {
	if len(a.parts) > 0 {
		a.key += "\n"
	}
	a.key += key
	a.parts = append(a.parts, p)
}

func (p *part) upstream(i int) foreignUpstream {
	u := p.foreign[i]
	if u == nil {
		return foreignUpstream{}
	}
	f := foreignUpstream{dial: u.Dial, maxRequests: u.MaxRequests, weight: 1}
	if p.weigher != nil {
		f.weight = p.weigher.Weight(u)
	}
	return f
}

// hold copies the answer, to be compared with later ones.
func (a *dynamicAnswer) hold() []heldPart {
	held := make([]heldPart, len(a.parts))
	for i := range a.parts {
		p := &a.parts[i]
		held[i].own = p.own
		if len(p.foreign) > 0 {
			held[i].foreign = make([]foreignUpstream, len(p.foreign))
			for j := range p.foreign {
				held[i].foreign[j] = p.upstream(j)
			}
		}
	}
	return held
}

// equal reports whether the answer names the backends of an earlier one. It allocates nothing.
func (a *dynamicAnswer) equal(held []heldPart) bool {
	return slices.EqualFunc(a.parts, held, func(p part, h heldPart) bool { return p.equal(&h) })
}

func (p *part) equal(h *heldPart) bool {
	if len(p.own) != len(h.own) || len(p.foreign) != len(h.foreign) {
		return false
	}
	if !p.identical(h) && !slices.EqualFunc(p.own, h.own, func(u, v *Upstream) bool {
		return u.Dial == v.Dial && u.MaxRequests == v.MaxRequests && u.Priority == v.Priority && u.weight() == v.weight()
	}) {
		return false
	}
	for i := range h.foreign {
		if p.upstream(i) != h.foreign[i] {
			return false
		}
	}
	return true
}

// identical reports whether the parts of this package's sources are the very slices of an earlier
// answer.
func (a *dynamicAnswer) identical(held []heldPart) bool {
	return slices.EqualFunc(a.parts, held, func(p part, h heldPart) bool { return p.identical(&h) })
}

func (p *part) identical(h *heldPart) bool {
	return len(p.own) == len(h.own) && unsafe.SliceData(p.own) == unsafe.SliceData(h.own)
}

// upstreams are the backends of the part.
func (h *heldPart) upstreams() iter.Seq[Upstream] {
	return func(yield func(Upstream) bool) {
		for _, u := range h.own {
			if !yield(*u) {
				return
			}
		}
		for i := range h.foreign {
			f := &h.foreign[i]
			u := Upstream{Dial: f.dial, MaxRequests: f.maxRequests}
			if f.weight != 1 {
				u.Weight = &f.weight
			}
			if !yield(u) {
				return
			}
		}
	}
}

// size is the number of backends that an answer names.
func size(parts []heldPart) (n int) {
	for _, p := range parts {
		n += len(p.own) + len(p.foreign)
	}
	return n
}

var sumSeed = maphash.MakeSeed()

// sumOf tells answers apart, but for rare accidents. It is never 0.
func sumOf(parts []heldPart) uint64 {
	var h maphash.Hash
	h.SetSeed(sumSeed)
	for _, p := range parts {
		for u := range p.upstreams() {
			_, _ = h.WriteString(u.Dial)
			maphash.WriteComparable(&h, [3]int{u.weight(), u.Priority, u.MaxRequests})
		}
	}
	return h.Sum64() | 1
}
