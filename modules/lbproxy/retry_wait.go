package lbproxy

import (
	"slices"
	"time"

	"github.com/caddylb/caddy-lb/lb"
)

// backoff is RetryBackoff, ready for use.
type backoff struct {
	base, max time.Duration
	jitter    func(n int64) int64 // a random number below n
}

// wait is how long to wait before the next retry, after the given number of them.
func (b *backoff) wait(retries int) time.Duration {
	ceiling := b.max
	if retries < 32 && b.base < b.max>>retries {
		ceiling = b.base << retries
	}
	return time.Duration(b.jitter(int64(ceiling) + 1))
}

// spared is a backend that asked to be left alone, with Retry-After (RFC 9110, section 10.2.3).
type spared struct {
	backend *lb.Backend
	until   time.Time
}

// spare has the request not given to the attempt's backend before its Retry-After is over.
func (ex *exchange) spare(a *attempt) {
	if d := a.try.RetryAfter; d > 0 {
		ex.spared = append(ex.spared, spared{a.member.Backend, time.Now().Add(d)})
	}
}

// forgetTried lets the request be given again to backends that had it, except for those that asked to be left alone.
func (ex *exchange) forgetTried() {
	ex.pick.Tried.Reset()
	for _, b := range ex.barred {
		ex.pick.Tried.Add(b)
	}
	if len(ex.spared) == 0 {
		return
	}
	now := time.Now()
	for _, s := range ex.spared {
		if now.Before(s.until) {
			ex.pick.Tried.Add(s.backend)
		}
	}
}

// defaultSpareWait is how long the time that a backend asked for may be where neither lb_try_duration nor retry_backoff says
// how long a request may wait.
const defaultSpareWait = time.Second

// mayHave reports whether the request may be given to the backend, as take has it: it was not yet, or a retry was allowed for which
// all of them may be asked again.
func (ex *exchange) mayHave(b *lb.Backend) bool {
	return !ex.pick.Tried.Has(b) || ex.renew && ex.sparedFor(b, time.Now()) <= 0 && !slices.Contains(ex.barred, b)
}

// pause is how long to wait before the request is given to a backend again. When all of them had it and asked to be left alone, it is at
// least the shortest time that one of them asked for; ok is false when that is too long.
func (ex *exchange) pause() (wait time.Duration, ok bool) {
	rules := &ex.h.retry
	wait = rules.interval
	if rules.backoff.base > 0 {
		wait = rules.backoff.wait(ex.granted)
	}
	if len(ex.spared) == 0 || ex.anyUntried() {
		return wait, true
	}
	now := time.Now()
	shortest := time.Duration(-1)
	for _, m := range ex.snapshot().Members {
		if !m.Selectable() {
			continue
		}
		left := ex.sparedFor(m.Backend, now)
		if shortest < 0 || left < shortest {
			shortest = left
		}
	}
	if shortest <= wait {
		return wait, true
	}
	return shortest, shortest <= rules.longestSpare(now.Sub(ex.started))
}

// sparedFor is how long the backend is still to be left alone.
func (ex *exchange) sparedFor(b *lb.Backend, now time.Time) (left time.Duration) {
	for _, s := range ex.spared {
		if s.backend == b {
			left = max(left, s.until.Sub(now))
		}
	}
	return left
}

// anyUntried reports whether a backend is available that the request was not given to.
func (ex *exchange) anyUntried() bool {
	for _, m := range ex.snapshot().Members {
		if !ex.pick.Tried.Has(m.Backend) && m.Selectable() && !m.Full() {
			return true
		}
	}
	return false
}

// longestSpare is how long a request that began so long ago may wait for a backend to be asked again.
func (r *retryRules) longestSpare(age time.Duration) time.Duration {
	switch {
	case r.duration > 0:
		return r.duration - age
	case r.backoff.base > 0:
		return r.backoff.max
	}
	return defaultSpareWait
}
