package selection

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddylb/caddy-lb/internal/module"
	"github.com/caddylb/caddy-lb/lb"
)

// UnmarshalPolicy parses the policy whose name d stands on, with its arguments and block, as written after
// lb_policy or fallback. Errors have file and line and name the policies there are.
func UnmarshalPolicy(d *caddyfile.Dispenser) (lb.Policy, error) {
	name := d.Val()
	id := Namespace + "." + name
	if _, err := caddy.GetModule(id); err != nil {
		return nil, d.WrapErr(NoPolicy(name))
	}
	unm, err := caddyfile.UnmarshalModule(d, id)
	if err != nil {
		return nil, err
	}
	policy, ok := unm.(lb.Policy)
	if !ok {
		return nil, d.Errf("module %s (%T) is not an lb.Policy", id, unm)
	}
	return policy, nil
}

// NoPolicy is the error for a policy that does not exist. It names all that do.
func NoPolicy(name string) error {
	if guess := module.Closest(name, policyNames()...); guess != "" {
		return fmt.Errorf("there is no selection policy '%s': did you mean %s?", name, guess)
	}
	return fmt.Errorf("there is no selection policy '%s': write one of %s", name, strings.Join(policyNames(), ", "))
}

// EncodePolicy is the JSON of a policy of the given name.
func EncodePolicy(policy lb.Policy, name string) json.RawMessage {
	return caddyconfig.JSONModuleObject(policy, "policy", name, nil)
}

// policyNames lists the registered policies in alphabetical order.
func policyNames() []string {
	var names []string
	for _, m := range caddy.GetModules(Namespace) {
		names = append(names, m.ID.Name())
	}
	return names
}

// noArguments parses a policy that takes neither arguments nor options.
func noArguments(d *caddyfile.Dispenser) error {
	d.Next()
	name := d.Val()
	if err := module.NoMore(d, name); err != nil {
		return err
	}
	for d.NextBlock(0) {
		return module.Unknown(d, name)
	}
	return nil
}

// intArg parses the single argument of an option as an integer of at least lowest.
func intArg(d *caddyfile.Dispenser, usage string, lowest int) (int, error) {
	text, err := module.OneArg(d, usage)
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < lowest {
		return 0, d.Errf("'%s' is not a whole number of at least %d: write '%s'", text, lowest, usage)
	}
	return n, nil
}
