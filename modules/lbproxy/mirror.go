package lbproxy

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/headers"
	"go.uber.org/zap"
)

// Mirror is given copies of requests, whose answers are thrown away: a new version of a service sees real traffic before it serves any
// (Envoy's request_mirror_policies, nginx's mirror). The client's own request never waits for it.
type Mirror struct {
	// To is the address of one backend, in any form that a backend's address has in a Caddyfile. Either To or Pool is set.
	To string `json:"to,omitempty"`

	// Pool is a pool of the lb app.
	Pool string `json:"pool,omitempty"`

	// Percent of requests that are copied. Default: 100.
	Percent float64 `json:"percent,omitempty"`
}

// Bounds of mirroring.
const (
	maxMirroring      = 256              // copies under way for each handler
	mirrorTime        = 30 * time.Second // that a copy may take
	maxMirroredAnswer = 1 << 20          // bytes that are read of its answer
)

// mirrorResult says what became of a copy.
type mirrorResult int

// The results, in the order of metrics.
const (
	mirrorAnswered mirrorResult = iota // whatever the status
	mirrorFailed                       // no answer came
	mirrorDropped                      // not sent, since too many were under way
	mirrorTooLarge                     // not sent, since the body was not kept whole
	numMirrorResults
)

var mirrorResults = [numMirrorResults]string{"answered", "failed", "dropped", "too_large"}

// mirrors are the Mirrors of a handler, ready for use.
type mirrors struct {
	all    []*mirror
	places chan struct{}   // taken by the copies under way
	ctx    context.Context // of the copies
	cancel context.CancelFunc
}

// mirror is a handler of its own, so that its pool is picked from, connected to and counted like any other.
type mirror struct {
	Handler             // which says nothing about single requests in its log
	log     *zap.Logger // of the handler that it mirrors
	share   float64     // of requests, from 0 to 1
}

func (c *Mirror) validate() error {
	if (c.To == "") == (c.Pool == "") {
		return errors.New("it goes either to an address or to a pool: write 'mirror 10.0.0.9:8080' or 'mirror pool:canary'")
	}
	if !(c.Percent >= 0 && c.Percent <= 100) {
		return fmt.Errorf("percent %v is not above 0 and up to 100", c.Percent)
	}
	return nil
}

// provisionMirrors makes the Mirrors ready for use.
func (h *Handler) provisionMirrors(ctx caddy.Context) error {
	m := &mirrors{places: make(chan struct{}, maxMirroring)}
	m.ctx, m.cancel = context.WithCancel(context.Background())
	h.mirrors = m
	for _, config := range h.Mirrors {
		if err := config.validate(); err != nil {
			return err
		}
		one := &mirror{share: 1}
		if config.Percent > 0 {
			one.share = config.Percent / 100
		}
		if err := one.provision(ctx, h, config); err != nil {
			return err
		}
		m.all = append(m.all, one)
	}
	return nil
}

// provision makes m a handler that sends requests as h does, to a pool of its own.
func (m *mirror) provision(ctx caddy.Context, h *Handler, config *Mirror) (err error) {
	m.app, m.log, m.trustedProxies, m.Rewrite = h.app, h.logger, h.trustedProxies, h.Rewrite
	m.logger = h.logger.WithOptions(zap.IncreaseLevel(zap.ErrorLevel))
	m.streams = newStreams(h.logger)
	if h.Headers != nil && h.Headers.Request != nil {
		m.Headers = &headers.Handler{Request: h.Headers.Request}
	}
	if config.Pool != "" {
		m.pool, err = h.app.named(config.Pool)
	} else {
		var pool *PoolConfig
		if pool, err = poolOfAddress(config.To); err == nil {
			m.pool, err = h.app.anonymousPool(ctx, pool)
		}
	}
	if err != nil {
		return err
	}
	m.ways = m.pool.ways
	m.requestBuffers = m.ways.requestBuffers
	m.plain = m.mayBePlain()
	return nil
}

// poolOfAddress is a pool of one backend.
func poolOfAddress(address string) (*PoolConfig, error) {
	written, err := parseWrittenAddress(address)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", address, err)
	}
	dials, err := written.dials()
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", address, err)
	case len(dials) != 1:
		return nil, fmt.Errorf("%s is not one address but %d: make them a pool, and mirror to that", address, len(dials))
	}
	config := new(PoolConfig)
	parser := newPoolParser(config)
	d := caddyfile.NewDispenser([]caddyfile.Token{{Text: "mirror"}})
	d.Next()
	if err := parser.addUpstreams(d, address); err != nil {
		return nil, err
	}
	return config, parser.finish(d, nil)
}

// close ends the copies under way and gives the pools back. It may be called more than once.
func (m *mirrors) close() {
	if m == nil {
		return
	}
	m.cancel()
	for _, one := range m.all {
		one.releasePool()
	}
}

// mirror sends copies of the request to the handler's mirrors, once: as soon as its body is there, or at its end if it is only then.
func (ex *exchange) mirror(last bool) {
	m := ex.h.mirrors
	if m == nil || ex.mirrored || ex.upgrade != "" || ex.tunnel != nil || ex.in.Method == http.MethodConnect {
		return
	}
	whole := ex.body == nil || ex.body.complete()
	if !whole && !last {
		return
	}
	ex.mirrored = true
	for _, one := range m.all {
		if one.share < 1 && rand.Float64() >= one.share { //nolint:gosec // nobody gains by foreseeing it
			continue
		}
		counts := &one.pool.state.mirrored
		body, kept := ex.copyBody()
		if !whole || !kept {
			counts[mirrorTooLarge].Add(1)
			continue
		}
		select {
		case m.places <- struct{}{}:
			c := newMirrored(m.ctx, one, ex.in, body)
			go func() {
				defer func() { <-m.places }()
				counts[c.send()].Add(1)
			}()
		default:
			counts[mirrorDropped].Add(1)
		}
	}
}

// copyBody is the client's body, if it was kept whole.
func (ex *exchange) copyBody() (body []byte, kept bool) {
	if ex.body == nil {
		return nil, true
	}
	return ex.body.copy()
}
