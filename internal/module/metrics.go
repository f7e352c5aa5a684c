package module

import (
	"errors"

	"github.com/caddyserver/caddy/v2"
	"github.com/prometheus/client_golang/prometheus"
)

// RegisterMetrics makes metrics part of a configuration's registry, if it has one. An equal collector may be there already: what collectors
// show is what runs, whichever module registered them, and counters go on over a reload.
func RegisterMetrics(ctx caddy.Context, c prometheus.Collector) error {
	registry := ctx.GetMetricsRegistry()
	if registry == nil {
		return nil
	}
	err := registry.Register(c)
	if already := (prometheus.AlreadyRegisteredError{}); errors.As(err, &already) {
		return nil
	}
	return err
}
