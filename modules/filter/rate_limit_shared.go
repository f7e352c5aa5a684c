package filter

import (
	"errors"
	"fmt"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddylb/caddy-lb/lb"
)

// findShared finds the counters that other instances count with, too: those of the filter itself, or the cluster's.
func (f *RateLimit) findShared(ctx caddy.Context) error {
	if f.StorageRaw != nil {
		module, err := ctx.LoadModule(f, "StorageRaw")
		if err != nil {
			return fmt.Errorf("storage: %w", err)
		}
		return f.share(module, "storage")
	}
	if f.Local {
		return nil
	}
	app, err := ctx.AppIfConfigured("lb_cluster")
	if errors.Is(err, caddy.ErrNotConfigured) {
		return nil
	}
	if err != nil {
		return err
	}
	return f.share(app, "lb_cluster")
}

func (f *RateLimit) share(module any, what string) (err error) {
	var ok bool
	if f.shared, ok = module.(lb.SharedCounters); !ok {
		return fmt.Errorf("the module of %s (%T) does not count", what, module)
	}
	return nil
}

// take asks for a place: the shared counters, if there are any, and this instance's own when nobody else can be asked.
func (f *RateLimit) take(x *Context, key string) lb.Taken {
	s := f.state
	if f.shared == nil {
		return s.local.Take(key, f.clock())
	}
	taken, err := f.shared.Take(x.Context(), f.sharedPrefix+key, f.limit)
	if err == nil {
		if s.away.Load() && s.away.CompareAndSwap(true, false) {
			f.logger.Info("the shared counters answer again", zap.String("limit", s.label))
		}
		return taken
	}
	s.results.add(localFallback)
	// A client that has left says nothing about the counters.
	if x.Context().Err() == nil && s.away.CompareAndSwap(false, true) {
		f.logger.Warn("the shared counters do not answer: every instance limits alone until they do", zap.String("limit", s.label), zap.Error(err))
	}
	return s.local.Take(key, f.clock())
}
