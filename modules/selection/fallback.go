package selection

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddylb/caddy-lb/internal/module"
	"github.com/caddylb/caddy-lb/lb"
)

// loadFallback loads the policy that raw, the field of module named FallbackRaw, configures. Without any it is
// [Random].
func loadFallback(ctx caddy.Context, module any, raw json.RawMessage) (lb.Policy, error) {
	if raw == nil {
		return Random{}, nil
	}
	val, err := ctx.LoadModule(module, "FallbackRaw")
	if err != nil {
		return nil, fmt.Errorf("loading fallback: %w", err)
	}
	policy, ok := val.(lb.Policy)
	if !ok {
		return nil, fmt.Errorf("loading fallback: %T is not an lb.Policy", val)
	}
	return policy, nil
}

// unmarshalFallback parses the option fallback, on which d stands, into raw.
func unmarshalFallback(d *caddyfile.Dispenser, raw *json.RawMessage) error {
	if *raw != nil {
		return d.Err("fallback is set already: write it once")
	}
	if !d.NextArg() {
		return d.Err("fallback lacks its policy: write 'fallback <policy>', 'fallback random' for example")
	}
	name := d.Val()
	policy, err := UnmarshalPolicy(d)
	if err != nil {
		return err
	}
	*raw = EncodePolicy(policy, name)
	return nil
}

// unmarshalKeyed parses a policy that takes the name of something in the request and a fallback:
//
//	<policy> <name> {
//		fallback <policy>
//	}
func unmarshalKeyed(d *caddyfile.Dispenser, usage string, name *string, raw *json.RawMessage) (err error) {
	d.Next()
	if *name, err = module.OneArg(d, usage); err != nil {
		return err
	}
	for d.NextBlock(0) {
		if d.Val() != "fallback" {
			return module.Unknown(d, "the policy", "fallback")
		}
		if err := unmarshalFallback(d, raw); err != nil {
			return err
		}
	}
	return nil
}

// keyOf asks a policy for the key of a request; it is empty when the policy hashes nothing.
func keyOf(policy lb.Policy, r *http.Request, repl *caddy.Replacer) string {
	if k, ok := policy.(Keyer); ok {
		return k.Key(r, repl)
	}
	return ""
}

// keyedPicker picks by highest random weight where the request has a value to hash, and by another policy
// where it has none. The key of the pick is the value or the other policy's key.
type keyedPicker struct {
	*hrw
	fallback lb.Picker
	value    func(*http.Request) string
}

// newKeyedPicker makes the picker of a policy with a fallback.
func newKeyedPicker(tier *lb.Tier, prev lb.Picker, fallback lb.Policy, value func(*http.Request) string) (lb.Picker, error) {
	var oldHRW, oldFallback lb.Picker
	if old, ok := prev.(*keyedPicker); ok {
		oldHRW, oldFallback = old.hrw, old.fallback
	}
	other, err := fallback.NewPicker(tier, oldFallback)
	if err != nil {
		return nil, fmt.Errorf("fallback: %w", err)
	}
	return &keyedPicker{hrw: newHRW(tier, oldHRW, &Hashing{}), fallback: other, value: value}, nil
}

// PickRequest implements [RequestPicker].
func (k *keyedPicker) PickRequest(r *Request) *lb.Member {
	if k.value(r.HTTP) == "" {
		return pick(k.fallback, r)
	}
	return k.Pick(&r.Pick)
}

// owner implements [keeper] for a fallback that keeps clients: it has those without a value.
func (k *keyedPicker) owner(r *Request) *lb.Member {
	if inner, ok := k.fallback.(keeper); ok && k.value(r.HTTP) == "" {
		return inner.owner(r)
	}
	return nil
}

// kept implements [keeper].
func (k *keyedPicker) kept(r *Request, m *lb.Member) *lb.Member {
	if inner, ok := k.fallback.(keeper); ok {
		return inner.kept(r, m)
	}
	return m
}

// Interface guards.
var (
	_ RequestPicker = (*keyedPicker)(nil)
	_ keeper        = (*keyedPicker)(nil)
)
