package lbproxy

import (
	"fmt"
	"time"

	"github.com/caddylb/caddy-lb/lb"
)

// shedReason says why a request was refused although backends are there.
type shedReason int

// The reasons, in the order of metrics.
const (
	shedFull    shedReason = iota // every backend, or the pool, serves as many as it may
	shedQueue                     // and as many wait as may
	shedTimeout                   // the request waited for too long
	numShedReasons
)

var shedReasons = [numShedReasons]string{"full", "queue_full", "queue_timeout"}

// shedRetryAfter is when a client whose request was refused for want of a place is asked to come back.
const shedRetryAfter = time.Second

// shed is the failure of a request that is refused for want of a place. Final ones are not tried again. It is counted if the
// client is told.
func (ex *exchange) shed(reason shedReason, err error, final bool) *failure {
	return &failure{
		cause: causeUnavailable, status: endings[causeUnavailable].status, err: err, unavailable: true, final: final, retryAfter: shedRetryAfter,
		shed: &ex.pool.state.shed[reason],
	}
}

// lease picks a backend and takes a place on it. Where every place is taken the request waits in the pool's queue, if
// there is one. Without a backend it returns the failure that says why.
func (ex *exchange) lease() (*lb.Member, *failure) {
	q := ex.pool.queue
	if q == nil || ex.pool.state.queue.Len() == 0 {
		if m := ex.take(); m != nil {
			return m, nil
		}
	}
	switch {
	case q != nil && ex.mayWait():
		return ex.awaitPlace(q)
	case q == nil && ex.wouldWait():
		return nil, ex.shed(shedFull, ex.unavailable().err, false)
	}
	if m := ex.take(); m != nil { // a place became free just now
		return m, nil
	}
	return nil, ex.unavailable()
}

// take picks a backend and takes a place on it, if there is one now.
func (ex *exchange) take() *lb.Member {
	if ex.pool.crowded() {
		return nil
	}
	m := ex.choose()
	if m == nil && ex.renew && ex.pick.Tried.Len() > 0 {
		// A retry was allowed and every backend had its turn: all of them may be tried again.
		ex.forgetTried()
		m = ex.choose()
	}
	if m == nil {
		return nil
	}
	if !ex.pool.enter() { // it became crowded just now
		m.Release()
		return nil
	}
	ex.renew = false
	return m
}

// crowded reports whether the pool has as many requests under way as it may.
func (p *pool) crowded() bool {
	return p.maxRequests > 0 && p.state.active.Load() >= int64(p.maxRequests)
}

// enter counts a request that is about to be given out, unless the pool is crowded. The count is never too high, not even for
// a moment, as in [lb.Member.Acquire].
func (p *pool) enter() bool {
	limit := int64(p.maxRequests)
	if limit == 0 {
		return true
	}
	for {
		n := p.state.active.Load()
		if n >= limit {
			return false
		}
		if p.state.active.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// leave counts it off again.
func (p *pool) leave() {
	if p.maxRequests == 0 {
		return
	}
	p.state.active.Add(-1)
	p.state.queue.Wake()
}

// wouldWait reports whether only a free place is missing: a backend could take the request but for the number of
// those under way.
func (ex *exchange) wouldWait() bool {
	crowded := ex.pool.crowded()
	return ex.anyCandidate(func(m *lb.Member) bool { return crowded || m.Limited() && m.Full() })
}

// mayWait reports whether a free place may have been missing when the request looked for one. What became free since may be
// taken again by the time that it looks once more, and those who wait have it first, so the line is where to look.
func (ex *exchange) mayWait() bool {
	bounded := ex.pool.maxRequests > 0 || ex.pool.state.queue.Len() > 0
	return ex.anyCandidate(func(m *lb.Member) bool { return bounded || m.Limited() })
}

// anyCandidate reports whether ok holds for a backend that the request could be given to, if that has a place.
func (ex *exchange) anyCandidate(ok func(*lb.Member) bool) bool {
	for _, t := range ex.snapshot().Tiers {
		for _, m := range t.Selectable {
			if ex.mayHave(m.Backend) && ok(m) {
				return true
			}
		}
	}
	return false
}

// awaitPlace waits for a place, in the order in which requests came.
func (ex *exchange) awaitPlace(config *Queue) (*lb.Member, *failure) {
	w := ex.pool.state.queue.Join(config.Size)
	if w == nil {
		err := fmt.Errorf("no backend of pool %s has a free place, and %d requests wait already", ex.pool.Name(), config.Size)
		return nil, ex.shed(shedQueue, err, true)
	}
	defer w.Leave()
	began := time.Now()
	defer func() { ex.queued += time.Since(began) }()
	limit := time.Duration(config.Timeout)
	if limit == 0 {
		limit = defaultQueueTimeout
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	var look <-chan time.Time
	for {
		select {
		case <-w.Turn():
		case <-look:
		case <-ex.in.Context().Done():
			return nil, newFailure(causeCanceled, ex.in.Context().Err())
		case <-timer.C:
			return nil, ex.shed(shedTimeout, fmt.Errorf("no backend of pool %s had a free place within %s", ex.pool.Name(), limit), true)
		}
		ex.inherit()
		if m := ex.take(); m != nil {
			return m, nil
		}
		if !ex.wouldWait() {
			if m := ex.take(); m != nil { // a place became free just now
				return m, nil
			}
			if !ex.wouldWait() { // nor was it taken again by a request of another pool
				return nil, ex.unavailable()
			}
		}
		if look = nil; ex.pool.untold() {
			look = time.After(placeLook)
		}
	}
}
