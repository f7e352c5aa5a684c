package selection

import (
	"fmt"
	"net/http"
	"strconv"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/caddylb/caddy-lb/internal/module"
)

// Hashing is the options common to the policies that hash a key of the request. They embed it. In a Caddyfile
// the options stand in the block of lb_policy, or beside it in the pool.
type Hashing struct {
	// HashKey is what is hashed: text with placeholders. Default: {http.request.uri.path}.
	HashKey string `json:"hash_key,omitempty"`

	// BalanceFactor bounds the load of each backend to this multiple of its share, by weight, of the requests
	// the pool has under way; keys above that go on to the next backend in their order (V. Mirrokni, M.
	// Thorup, M. Zadimoghaddam, "Consistent hashing with bounded loads", 2018). It is above 1; 1.25 is usual.
	// Default: no bound.
	BalanceFactor float64 `json:"balance_factor,omitempty"`

	// MaxIterations is how many steps a search may take, including steps to backends seen before, as in
	// Pingora. Default: no limit, every distinct backend is tried.
	MaxIterations int `json:"max_iterations,omitempty"`

	key hashKey
}

// HashOptions returns the options themselves, so that they can be set from outside of the policy's block.
func (h *Hashing) HashOptions() *Hashing { return h }

// Key implements [Keyer].
func (h *Hashing) Key(r *http.Request, repl *caddy.Replacer) string { return h.key.value(r, repl) }

// Provision implements [caddy.Provisioner] for policies that need no more: it compiles HashKey.
func (h *Hashing) Provision(caddy.Context) (err error) {
	h.key, err = parseHashKey(h.HashKey)
	return err
}

// Validate implements [caddy.Validator] for policies that have nothing else to check.
func (h *Hashing) Validate() error {
	if h.BalanceFactor != 0 && !(h.BalanceFactor > 1) {
		return fmt.Errorf("balance_factor is %v: it has to be above 1, 1.25 for example", h.BalanceFactor)
	}
	if h.MaxIterations < 0 {
		return fmt.Errorf("max_iterations is %d: it cannot be negative, and 0 is no limit", h.MaxIterations)
	}
	return nil
}

// UnmarshalOption parses the option that d stands on if it is one of Hashing's: hash_key, balance_factor or
// max_iterations. known is false when it is not; d has not moved then.
func (h *Hashing) UnmarshalOption(d *caddyfile.Dispenser) (known bool, err error) {
	switch d.Val() {
	case "hash_key":
		return true, h.unmarshalHashKey(d)
	case "balance_factor":
		return true, h.unmarshalBalanceFactor(d)
	case "max_iterations":
		if h.MaxIterations != 0 {
			return true, d.Err("max_iterations is set already: write it once")
		}
		h.MaxIterations, err = intArg(d, "max_iterations <n>", 1)
		return true, err
	}
	return false, nil
}

func (h *Hashing) unmarshalHashKey(d *caddyfile.Dispenser) error {
	if h.HashKey != "" {
		return d.Err("hash_key is set already: write it once")
	}
	text, err := module.OneArg(d, "hash_key <placeholder>")
	if err != nil {
		return err
	}
	if text == "" {
		return d.Err("hash_key is empty: write a placeholder, such as {http.request.uri.path}")
	}
	// Sites have their shorthands replaced before directives are parsed, global options do not.
	segment := caddyfile.Segment{{Text: text}}
	httpcaddyfile.NewShorthandReplacer().ApplyToSegment(&segment)
	h.HashKey = segment[0].Text
	if _, err := parseHashKey(h.HashKey); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

func (h *Hashing) unmarshalBalanceFactor(d *caddyfile.Dispenser) error {
	if h.BalanceFactor != 0 {
		return d.Err("balance_factor is set already: write it once")
	}
	text, err := module.OneArg(d, "balance_factor <f>")
	if err != nil {
		return err
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || !(f > 1) {
		return d.Errf("invalid balance_factor '%s': write a number above 1, 1.25 for example", text)
	}
	h.BalanceFactor = f
	return nil
}

// unmarshalBlock parses a policy's block of hashing options; other parses the options of the
// policy's own, whose names are own.
func (h *Hashing) unmarshalBlock(d *caddyfile.Dispenser, other func(option string) (known bool, err error), own ...string) error {
	var once module.Once
	for d.NextBlock(0) {
		if err := once.Note(d); err != nil {
			return err
		}
		option := d.Val()
		known, err := h.UnmarshalOption(d)
		if !known && other != nil {
			known, err = other(option)
		}
		if err != nil {
			return err
		}
		if !known {
			return module.Unknown(d, "the policy", append(own, "hash_key", "balance_factor", "max_iterations")...)
		}
	}
	return nil
}

// Interface guards.
var (
	_ Keyer             = (*Hashing)(nil)
	_ caddy.Provisioner = (*Hashing)(nil)
	_ caddy.Validator   = (*Hashing)(nil)
)
