// Package selection holds the policies by which a pool picks a backend: Caddy modules in the namespace
// http.lb_proxy.selection, one file each, algorithm and module together.
//
// A policy is a Caddy module that implements [lb.Policy]: it compiles itself into a [lb.Picker] for one set of
// backends. That is all a policy needs that looks at nothing but the backends. Two optional interfaces give it
// the request: a policy that is a [Keyer] says what is hashed, and a picker that is a [RequestPicker] is given
// the request and the response writer themselves.
package selection

import (
	"net/http"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddylb/caddy-lb/lb"
)

// Namespace is where Caddy finds the modules of this package, and of others that add a policy.
const Namespace = "http.lb_proxy.selection"

// Keyer is implemented by policies that hash something of the request. Key is asked once per request, before
// the first pick. [Hashing] implements it with the hash_key option.
type Keyer interface {
	Key(r *http.Request, repl *caddy.Replacer) string
}

// RequestPicker is implemented by pickers that look at the request itself, or write to the response: those
// that keep clients on a backend by a cookie, or fall back on another policy. PickRequest is then called
// instead of Pick, under the same terms.
type RequestPicker interface {
	PickRequest(r *Request) *lb.Member
}

// Request is one request on its way to a backend. It belongs to the request and is reused over its tries.
type Request struct {
	lb.Pick

	// HTTP is the request as the client sent it.
	HTTP *http.Request

	// Writer answers the client. Only its header may be touched, and anything set there has to be set again
	// without harm when the request is tried on another backend.
	Writer http.ResponseWriter

	// Replacer fills in placeholders.
	Replacer *caddy.Replacer

	// named says that the response was to carry a backend's name, by any pick so far: not every pick becomes a try, and tries
	// may be forgotten.
	named bool
}

// Choose picks a member for r. A client that belongs to a backend of any tier gets that one; else the tiers are asked as
// their loads say, see [lb.Snapshot.Ask]. It returns nil when every backend is unavailable, full or already tried.
func Choose(s *lb.Snapshot, r *Request) *lb.Member {
	if len(s.Tiers) > 1 {
		for _, t := range s.Tiers {
			if k, ok := t.Picker.(keeper); ok {
				if m := k.owner(r); m != nil {
					return k.kept(r, m)
				}
			}
		}
	}
	return s.Ask(&r.Pick, func(t *lb.Tier) *lb.Member { return pick(t.Picker, r) })
}

// keeper is implemented by pickers that keep a client on the backend it was given before.
type keeper interface {
	// owner is the member that the client belongs to, if that member can take it; else nil.
	owner(r *Request) *lb.Member

	// kept notes that the client gets its own member, and returns it.
	kept(r *Request, m *lb.Member) *lb.Member
}

// pick asks one picker in the richest way that it understands.
func pick(p lb.Picker, r *Request) *lb.Member {
	if rp, ok := p.(RequestPicker); ok {
		return rp.PickRequest(r)
	}
	return p.Pick(&r.Pick)
}
