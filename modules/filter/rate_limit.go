package filter

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddylb/caddy-lb/internal/module"
	"github.com/caddylb/caddy-lb/internal/ratelimit"
	"github.com/caddylb/caddy-lb/lb"
)

func init() {
	caddy.RegisterModule(new(RateLimit))
}

// The algorithms of [RateLimit].
const (
	tokenBucket   = "token_bucket"
	slidingWindow = "sliding_window"
)

// defaultMaxKeys is the default of max_keys.
const defaultMaxKeys = 1_000_000

// RateLimit refuses requests of clients that send too many, with 429 (RFC 6585, section 4) and Retry-After. Answers tell how much is left in
// RateLimit-Limit, RateLimit-Remaining and RateLimit-Reset (draft-ietf-httpapi-ratelimit-headers-06). A request whose key is empty is
// not limited.
//
// Limits of one configuration with equal definitions (name, key, rate, burst, algorithm and memory) are one limit, wherever they stand, and
// one that is defined as before goes on over a reload.
type RateLimit struct {
	// Key is what is counted by: text with placeholders. Addresses of clients, {http.vars.client_ip} and {http.request.remote.host}
	// alone, count an IPv6 network of 64 bits as one. Required.
	Key string `json:"key"`

	// Events are how many requests there may be in Window, for each key. Required: 1 to 1000000000, at most 10 in a microsecond.
	Events int64 `json:"events"`

	// Window is the time for Events, 1ms to 366d. Required.
	Window caddy.Duration `json:"window"`

	// Algorithm is token_bucket (Burst at once, and new ones at an even pace) or sliding_window (Events in a Window that moves). Default:
	// token_bucket, with Sketch sliding_window.
	Algorithm string `json:"algorithm,omitempty"`

	// Burst is how many may come at once after a rest, for token_bucket. Default: Events.
	Burst int64 `json:"burst,omitempty"`

	// Sketch counts in memory that does not depend on the keys at all, at the price that a key is sometimes counted too high.
	Sketch bool `json:"sketch,omitempty"`

	// MaxKeys bounds the memory: as many keys are held, in about 21 bytes each (32 for sliding_window; with Sketch 8.4, however many
	// keys there are). When there are more, those that owe least are forgotten. Default: 1000000.
	MaxKeys int `json:"max_keys,omitempty"`

	// Name keeps the limit apart from equal ones, and is its name in metrics and logs.
	Name string `json:"name,omitempty"`

	// StorageRaw are the counters that other instances count with, too. Default: those of the app lb_cluster, if it is configured.
	StorageRaw json.RawMessage `json:"storage,omitempty" caddy:"namespace=lb.counters inline_key=module"`

	// Local has each instance count alone although there is an lb_cluster.
	Local bool `json:"local,omitempty"`

	// DryRun counts and logs what would be refused, and refuses nothing.
	DryRun bool `json:"dry_run,omitempty"`

	key        limitKey
	limit      lb.Limit
	definition rateDefinition
	state      *rateState
	held       bool   // a reference to state
	limitField string // what RateLimit-Limit says

	shared       lb.SharedCounters // nil for none
	sharedPrefix string

	clock  func() time.Duration
	logger *zap.Logger
}

// CaddyModule returns the Caddy module information.
func (*RateLimit) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.lb_proxy.filters.rate_limit", New: func() caddy.Module { return new(RateLimit) }}
}

// Provision checks the options, and finds what was counted before and the counters that are shared.
func (f *RateLimit) Provision(ctx caddy.Context) error {
	if err := f.compile(); err != nil {
		return fmt.Errorf("rate_limit: %w", err)
	}
	if err := f.findShared(ctx); err != nil {
		return fmt.Errorf("rate_limit: %w", err)
	}
	if f.clock == nil {
		f.clock = lb.Monotonic
	}
	f.logger = ctx.Logger()
	f.state, f.held = f.definition.acquire(), true
	return module.RegisterMetrics(ctx, limitCollector{})
}

// compile checks the options and fills in the defaults.
func (f *RateLimit) compile() (err error) {
	if f.key, err = parseLimitKey(f.Key); err != nil {
		return err
	}
	if f.Algorithm == "" {
		f.Algorithm = tokenBucket
		if f.Sketch {
			f.Algorithm = slidingWindow
		}
	}
	if f.MaxKeys == 0 {
		f.MaxKeys = defaultMaxKeys
	}
	if err := f.consistent(); err != nil {
		return err
	}
	f.limit = lb.Limit{Events: f.Events, Window: time.Duration(f.Window), Sliding: f.Algorithm == slidingWindow}
	atOnce := f.Events
	if !f.limit.Sliding {
		if f.Burst != 0 {
			atOnce = f.Burst
		}
		f.limit.Burst = atOnce
	}
	if err := ratelimit.Valid(f.limit); err != nil {
		return fmt.Errorf("the rate %s: %w", requestRate{f.Events, time.Duration(f.Window)}, err)
	}
	f.definition = rateDefinition{name: f.Name, key: f.key.text, limit: f.limit, sketch: f.Sketch, maxKeys: f.MaxKeys}
	f.sharedPrefix = f.definition.shared()
	f.limitField = numberText(atOnce)
	return nil
}

// maxMaxKeys keeps a slip of the hand from taking all memory: that many keys are 21 GB.
const maxMaxKeys = 1_000_000_000

var (
	errExactSketch            = errors.New("a sketch is not exact: leave one of both out; exact is the default")
	errRequiredWithoutStorage = errors.New("required is about a storage: write 'storage redis://…' beside it; that of lb_cluster has a 'required' of its own")
)

// consistent says which options do not go together.
func (f *RateLimit) consistent() error {
	switch {
	case f.Algorithm != tokenBucket && f.Algorithm != slidingWindow:
		return fmt.Errorf("there is no algorithm '%s': write token_bucket or sliding_window", f.Algorithm)
	case f.Sketch && f.Algorithm == tokenBucket:
		return errors.New("a sketch counts windows: write 'algorithm sliding_window', or leave sketch out")
	case f.Burst != 0 && f.Algorithm == slidingWindow:
		return errors.New("a sliding window has no burst: leave burst out, or write 'algorithm token_bucket'")
	case f.MaxKeys < 1 || f.MaxKeys > maxMaxKeys:
		return fmt.Errorf("max_keys is %d: it can be from 1 to %d", f.MaxKeys, maxMaxKeys)
	case f.Local && f.StorageRaw != nil:
		return errors.New("local counts in this instance alone, and storage does not: leave one of them out")
	}
	return nil
}

// Cleanup gives the limit back. Requests that are still under way go on to use it.
func (f *RateLimit) Cleanup() error {
	if !f.held {
		return nil
	}
	f.held = false
	_, err := rateLimits.Delete(f.definition)
	return err
}

// Interface guards
var (
	_ RequestFilter      = (*RateLimit)(nil)
	_ caddy.Provisioner  = (*RateLimit)(nil)
	_ caddy.CleanerUpper = (*RateLimit)(nil)
)
