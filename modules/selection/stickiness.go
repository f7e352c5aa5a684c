package selection

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddylb/caddy-lb/internal/module"
	"github.com/caddylb/caddy-lb/lb"
)

// minSecret is the length in octets of the shortest secret that names may be signed with: that of a signature.
const minSecret = signatureSize

// Stickiness is the options common to the policies that keep a client on the backend whose name it sends. They
// embed it.
type Stickiness struct {
	// Secret is the key that names are made or signed with, so that clients cannot choose their backend. For
	// signed names it has at least 16 octets, and placeholders of the whole process such as {env.SECRET} are
	// filled in. Default: none.
	Secret string `json:"secret,omitempty"`

	// Format is what a backend is called towards clients. "hmac" is the HMAC-SHA256 of its address under the
	// secret, in hexadecimal, as Caddy's reverse_proxy makes it: clients can neither read nor choose their
	// backend. "plain" is the address itself, which clients can do both with. "signed" is the address with a
	// signature, an HMAC-SHA256 cut to 128 bits (RFC 2104, section 5): they can read, but not choose.
	// Default: "hmac".
	Format string `json:"format,omitempty"`

	// FallbackRaw is the policy for clients without a backend. Default: random.
	FallbackRaw json.RawMessage `json:"fallback,omitempty" caddy:"namespace=http.lb_proxy.selection inline_key=policy"`

	fallback lb.Policy
	key      string // Secret with placeholders filled in
}

// provision prepares the options of the policy that embeds them.
func (s *Stickiness) provision(ctx caddy.Context, policy any) (err error) {
	if s.fallback, err = loadFallback(ctx, policy, s.FallbackRaw); err != nil {
		return err
	}
	// Under hmac a secret is taken as written, as it is in reverse_proxy.
	if s.key = s.Secret; s.Format == FormatSigned {
		if s.key, err = caddy.NewReplacer().ReplaceOrErr(s.Secret, true, true); err != nil {
			return fmt.Errorf("secret: %w", err)
		}
		return checkSecret(s.key)
	}
	return nil
}

// check reports what is wrong with the options.
func (s *Stickiness) check() error {
	switch s.Format {
	case "", FormatHMAC:
		return nil
	case FormatPlain:
		if s.Secret != "" {
			return fmt.Errorf("format plain makes no use of the secret: write format signed, or remove the secret")
		}
		return nil
	case FormatSigned:
		if strings.Contains(s.Secret, "{") {
			return nil // its length is known when it is filled in
		}
		return checkSecret(s.Secret)
	default:
		return fmt.Errorf("unknown format '%s': write hmac, plain or signed", s.Format)
	}
}

func checkSecret(secret string) error {
	if len(secret) < minSecret {
		return fmt.Errorf("format signed needs a secret of at least %d characters, this one has %d: write a random one, "+
			"such as 'openssl rand -hex 16' prints", minSecret, len(secret))
	}
	return nil
}

// Key implements [Keyer] for the fallback.
func (s *Stickiness) Key(r *http.Request, repl *caddy.Replacer) string {
	return keyOf(s.fallback, r, repl)
}

// unmarshalOption parses the option that d stands on if it is one of Stickiness's: secret, format or fallback.
// known is false when it is not; d has not moved then.
func (s *Stickiness) unmarshalOption(d *caddyfile.Dispenser) (known bool, err error) {
	switch d.Val() {
	case "secret":
		return true, setOnce(d, &s.Secret, "secret <secret>")
	case "format":
		return true, setOnce(d, &s.Format, "format hmac|plain|signed")
	case "fallback":
		return true, unmarshalFallback(d, &s.FallbackRaw)
	}
	return false, nil
}

// setOnce parses the single argument of the option that d stands on into value, which must not be set already.
func setOnce(d *caddyfile.Dispenser, value *string, usage string) (err error) {
	option := d.Val()
	if *value != "" {
		return d.Errf("%s is set already: write it once", option)
	}
	if *value, err = module.OneArg(d, usage); err == nil && *value == "" {
		err = d.Errf("%s is empty: write '%s'", option, usage)
	}
	return err
}

// KeepsClients reports that clients belong to backends, even to drained ones: such a backend is empty only when none
// came for a while.
func (*Stickiness) KeepsClients() bool { return true }
