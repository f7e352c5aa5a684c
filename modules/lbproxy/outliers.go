package lbproxy

import (
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddylb/caddy-lb/internal/outlier"
	"github.com/caddylb/caddy-lb/lb"
)

// outlierHosts holds what outlier detection knows of backends, so that a reload finds it again, whatever else it changes.
var outlierHosts = caddy.NewUsagePool()

// outlierHost is what outlier detection knows of one backend, as one pool's entry refers to it.
type outlierHost struct {
	*outlier.Host
	key      backendKey
	detector *outlier.Detector
	cancel   func() // ends the subscription to changes
}

// sharedHost makes a host known to the pool of references.
type sharedHost struct{ *outlier.Host }

// Destruct implements caddy.Destructor: the last reference is gone.
func (h sharedHost) Destruct() error {
	h.Close()
	return nil
}

// newDetector makes the outlier detection of a pool, if it is configured.
func (p *pool) newDetector() *outlier.Detector {
	config := p.config.outlierDetection()
	if config == nil {
		return nil
	}
	return outlier.New(config.config(), p.outlierChanged)
}

// watchOutliers takes a reference to what is known of a backend, and has the pool's detection look at it. Each call is
// followed by one release.
func (p *pool) watchOutliers(key backendKey) *outlierHost {
	v, _ := outlierHosts.LoadOrStore(key, sharedHost{outlier.NewHost(lb.Monotonic)})
	h := &outlierHost{Host: v.(sharedHost).Host, key: key, detector: p.detector}
	h.cancel = h.Subscribe(p.refresh)
	h.detector.Add(h.Host)
	return h
}

func (h *outlierHost) release() {
	h.detector.Remove(h.Host)
	h.cancel()
	_, _ = outlierHosts.Delete(h.key)
}

// checkPassed lets a backend that is ejected back for a trial, after an active check of it passed.
func (e *entry) checkPassed(started time.Time) {
	if e.outlier != nil {
		e.outlier.CheckPassed(lb.MonotonicAt(started))
	}
}

// outcomeOf is what a try says of its backend.
func outcomeOf(t *try) outlier.Outcome {
	o := outlier.Outcome{Latency: t.Latency, Began: lb.MonotonicAt(t.Begun)}
	switch {
	case t.Cause == causeNone:
		o.Kind = kindOfStatus(max(t.Status, t.GRPC))
	case !t.Cause.blames() && t.Status >= http.StatusInternalServerError:
		o.Kind = kindOfStatus(t.Status) // which was there before the client left
	default:
		o.Kind = endings[t.Cause].kind
	}
	return o
}

func kindOfStatus(status int) outlier.Kind {
	switch {
	case status < http.StatusInternalServerError:
		return outlier.Success
	case status == http.StatusBadGateway, status == http.StatusServiceUnavailable, status == http.StatusGatewayTimeout:
		return outlier.GatewayError
	default:
		return outlier.ServerError
	}
}

// entryOf is the entry of the backend with this host; nil when it has left the pool.
func (p *pool) entryOf(h *outlier.Host) *entry {
	for _, e := range *p.entries.Load() {
		if e.outlier != nil && e.outlier.Host == h {
			return e
		}
	}
	return nil
}

// outlierChanged counts and announces what outlier detection did. What changed by it was told when
// the pool was refreshed.
func (p *pool) outlierChanged(h *outlier.Host, event outlier.Event) {
	e := p.entryOf(h)
	if e == nil {
		return
	}
	host := e.backend.Address().String()
	switch event.Kind {
	case outlier.Ejected:
		e.stats.ejections.Add(1)
		p.events.Emit(p.ctx, "ejected", map[string]any{"pool": p.Name(), "host": host, "reason": event.Reason})
	case outlier.Overflow:
		// When all backends fail there are many of these in a second.
		e.stats.overflows.Add(1)
		now := int64(lb.Monotonic())
		if last := e.stats.overflowLogged.Load(); last != 0 && now-last < int64(overflowLogEvery) || !e.stats.overflowLogged.CompareAndSwap(last, now) {
			return
		}
		p.log.Warn("backend would be ejected, but as many are as may be", zap.String("backend", host), zap.String("reason", event.Reason))
	case outlier.Returned:
		p.events.Emit(p.ctx, "returned", map[string]any{"pool": p.Name(), "host": host, "reason": event.Reason})
	}
}

// overflowLogEvery is how often a backend is logged for an ejection that was not made.
const overflowLogEvery = 10 * time.Second

// longAnswer is the length of an answer from which a trial's verdict does not wait for its end.
const longAnswer = 1 << 20

// settleTrial ends the trial of a backend whose answer may take long, or has no end: its header was good. A short
// answer is judged when it is complete.
func (a *attempt) settleTrial() {
	p := a.pool
	if p.detector == nil || a.try.failed() || a.res.ContentLength >= 0 && a.res.ContentLength < longAnswer {
		return
	}
	if e := (*p.entries.Load())[a.member.Backend]; e != nil && e.outlier != nil && e.outlier.OnTrial() {
		p.detector.Observe(e.outlier.Host, outcomeOf(&a.try))
	}
}

// warnOfIdleDetection says that outlier detection cannot eject anybody. Of a single backend it says
// nothing: that one stays whatever is configured. A dynamic source is told of once, however many
// pools its answers make.
func (p *pool) warnOfIdleDetection(backends int) {
	o := p.config.outlierDetection()
	if o == nil || backends < 2 || lb.EjectionLimit(backends, o.maxPercent(), o.AlwaysEjectOne) > 0 {
		return
	}
	if p.group != nil && p.group.base.idleTold.Swap(true) {
		return
	}
	p.log.Warn("outlier detection will eject no backend: max_ejection_percent of the backends is less than one backend: "+
		"add always_eject_one, or raise max_ejection_percent",
		zap.Int("backends", backends), zap.Float64("max_ejection_percent", o.maxPercent()))
}

// Interface guard
var _ caddy.Destructor = sharedHost{}
