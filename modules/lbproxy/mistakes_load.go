package lbproxy

import (
	"fmt"
	"maps"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"go.uber.org/zap"

	"github.com/caddylb/caddy-lb/internal/adaptation"
)

// warn logs warnings about the configuration that is loaded, but for those that its adaptation in
// this process gave.
func (a *App) warn(texts ...string) { a.warnAt(nil, texts...) }

// warnOfPool is warn about a pool. The place is known if the pool was adapted in this process; its
// adaptation had no list for warnings if the file has no lb_proxy.
func (a *App) warnOfPool(name string, c *PoolConfig, texts ...string) {
	var at []zap.Field
	if note, ok := adaptation.Noted[poolNote](poolKey{name, c.Upstreams}); ok {
		at = []zap.Field{zap.String("file", note.place.File), zap.Int("line", note.place.Line)}
	}
	a.warnAt(at, texts...)
}

func (a *App) warnAt(at []zap.Field, texts ...string) {
	for _, text := range texts {
		if !a.told[text] {
			a.log.Warn(text, at...)
		}
	}
}

// markUsed notes the pools that requests of a handler may go to.
func (a *App) markUsed(h *Handler) {
	a.mu.Lock()
	defer a.mu.Unlock()
	maps.DeleteFunc(a.unused, func(name string, _ *PoolConfig) bool { return h.usesPool(name) })
}

// warnOfWhole logs what only the whole configuration shows: pools that nothing uses, and handlers
// that no request reaches.
func (a *App) warnOfWhole() {
	for _, name := range slices.Sorted(maps.Keys(a.unused)) {
		a.warnOfPool(name, a.unused[name], unusedText(name))
	}
	for _, f := range a.unreachable {
		a.warn(unreachableText(f.handler.label(), f.behind))
	}
}

// unreachable are the handlers that no request gets to.
func unreachable(handlers []found) []found {
	return slices.DeleteFunc(slices.Clone(handlers), func(f found) bool { return f.behind == "" || f.invoked })
}

// takerLabel is the label of a handler that takes every request; empty if it does not, or nobody
// knows.
func takerLabel(handler caddyhttp.MiddlewareHandler) string {
	switch h := handler.(type) {
	case *Handler:
		if h.takesEvery() {
			return h.label()
		}
	case *reverseproxy.Handler:
		if len(h.HandleResponse) == 0 {
			return "a reverse_proxy without a matcher"
		}
	case *caddyhttp.StaticResponse:
		return "a respond without a matcher"
	}
	return ""
}

// named is the name that a pool was given; empty for an anonymous one.
func named(name string, anonymous bool) string {
	if anonymous {
		return ""
	}
	return name
}

// located adds to an error about a pool whose it is, and the place in the Caddyfile if that is
// known.
func (c *PoolConfig) located(name string, anonymous bool, err error) error {
	if note, ok := adaptation.Noted[poolNote](poolKey{named(name, anonymous), c.Upstreams}); ok {
		return fmt.Errorf("pool %s: %w, at %s:%d", name, err, note.place.File, note.place.Line)
	}
	return fmt.Errorf("pool %s: %w", name, err)
}

// warnings is what an App needs to warn of mistakes.
type warnings struct {
	log    *zap.Logger
	told   map[string]bool        // by the adaptation
	unused map[string]*PoolConfig // no handler names them yet; guarded by the App's mu
}

func newWarnings(ctx caddy.Context, pools map[string]*PoolConfig) warnings {
	return warnings{log: ctx.Logger(), told: adaptation.ClaimTold(), unused: maps.Clone(pools)}
}
