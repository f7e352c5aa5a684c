package lbproxy

import (
	"io"
	"net/http"
	"strconv"
	"time"
)

// obtain finds a backend that answers. Its one loop gives the request to backend after backend: past failures to
// connect without asking, past other failures as far as the configuration allows. A returned attempt has an
// answer for the client and is released by the caller.
func (ex *exchange) obtain() (*attempt, *failure) {
	var last *failure
	for {
		a, f := ex.begin()
		if f == nil {
			if f = a.send(); f == nil {
				return a, nil
			}
			a.release()
		}
		switch {
		case f.unavailable && last != nil:
			f = last // what went wrong says more than that nothing is left to try
		case !f.unavailable:
			last = f
		}
		// The backend never saw the request, so the others are asked whatever the method. Once they all
		// failed, begin says so, and what is configured decides.
		if f.cause == causeConnect {
			if f = ex.filterConnectFailure(f); !f.final && a != nil && ex.resendable() {
				ex.again++
				continue
			}
		}
		if g := ex.retryAfter(f); g != nil {
			return nil, g
		}
		ex.again++
		ex.logRetry(f)
	}
}

// retryAfter waits until the request may be given to a backend again. It returns the failure to end with when
// that is not allowed, or when the client leaves.
func (ex *exchange) retryAfter(f *failure) *failure {
	rules := &ex.h.retry
	if f.final || !rules.left(ex) {
		return f
	}
	if f.cause != causeNone && f.cause != causeConnect {
		if !ex.resendable() || !rules.allowsFailed(ex) {
			return f
		}
	}
	if !ex.wait(rules.interval) {
		return newFailure(causeCanceled, ex.in.Context().Err())
	}
	ex.granted++
	ex.renew = true
	return nil
}

// wait sleeps, and reports false when the client left before the end.
func (ex *exchange) wait(d time.Duration) bool {
	done := ex.in.Context().Done()
	if d <= 0 {
		select {
		case <-done:
			return false
		default:
			return true
		}
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-done:
		return false
	}
}

// resendable reports whether another backend can be given the whole body.
func (ex *exchange) resendable() bool { return ex.body == nil || ex.body.replayable() }

// send does the round trip and says what came of it: nil for an answer that is to go to the client.
func (a *attempt) send() *failure {
	ex := a.ex
	ex.logSelected(a)
	a.begun = time.Now()
	a.try.Begun = a.begun
	res, err := a.roundTrip() //nolint:bodyclose // respond, reject and switchProtocols close it
	a.try.Latency = time.Since(a.begun)
	if !ex.talked.Load() {
		// Handlers before this one may have left placeholders of the same names.
		ex.repl.DeleteByPrefix(placeholderPrefix)
		ex.talked.Store(true)
	}
	if err != nil {
		f := a.classify(err)
		a.try.Cause, a.try.Err = f.cause, f.err
		ex.logRoundTrip(a, err)
		return f
	}
	if res.Body == nil {
		res.Body = http.NoBody
	}
	a.res = res
	a.try.Status = res.StatusCode
	if res.StatusCode >= 500 || res.StatusCode == http.StatusTooManyRequests {
		a.try.RetryAfter = retryAfterOf(res.Header, time.Now())
	}
	a.answered.Store(true)
	ex.logRoundTrip(a, nil)
	if f := a.filterAnswer(); f != nil {
		return f
	}
	return a.reject()
}

// reject gives an answer back that the configuration wants another one for. It reports nil for all others.
func (a *attempt) reject() *failure {
	ex := a.ex
	if len(ex.h.retry.onAnswer) == 0 || !ex.resendable() || !ex.h.retry.rejects(a) {
		return nil
	}
	drain(a.res.Body)
	return &failure{status: a.res.StatusCode, err: errRejected{status: a.res.StatusCode}}
}

// errRejected is an answer that lb_retry_match asked to try again.
type errRejected struct{ status int }

func (e errRejected) Error() string {
	return "the backend answered " + strconv.Itoa(e.status) + ", which lb_retry_match rejects"
}

// Bounds of what is read of an answer that nobody wants, so that its connection can be used again.
const (
	drainBytes = 64 << 10
	drainTime  = 50 * time.Millisecond
)

// drain reads a body to its end if that is near, and closes it.
func drain(body io.ReadCloser) {
	timer := time.AfterFunc(drainTime, func() { _ = body.Close() })
	defer timer.Stop()
	_, _ = io.CopyN(io.Discard, body, drainBytes)
	_ = body.Close()
}

// retryAfterOf reads a Retry-After field (RFC 9110, section 10.2.3): seconds, or a date. It is 0 when there is
// none.
func retryAfterOf(header http.Header, now time.Time) time.Duration {
	v := header.Get("Retry-After")
	if v == "" {
		return 0
	}
	if seconds, err := strconv.ParseUint(v, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(v); err == nil {
		return max(at.Sub(now), 0)
	}
	return 0
}
