package lbproxy

import (
	"io"
	"net/http"
	"strconv"
	"time"
)

// obtain finds a backend that answers. A returned attempt has an answer for the client and is released by the caller.
func (ex *exchange) obtain() (*attempt, *failure) {
	panicking := true
	defer func() {
		if panicking {
			ex.abandon()
		}
	}()
	a, f := ex.seek()
	panicking = false
	ex.endRetry()
	return a, f
}

// abandon releases what a request holds that was broken off while it looked for an answer, as Caddy's abort does.
func (ex *exchange) abandon() {
	if a := ex.newest; a != nil {
		if a.try.Status == 0 && a.try.Cause == causeNone {
			a.try.Cause = causeCanceled // it came to nothing, and the backend is not to blame
		}
		a.release()
	}
	for a := ex.latest; a != nil; a = a.before {
		if a.res != nil && a.res.Body != nil {
			_ = a.res.Body.Close() // after a switch of protocols nobody else closes the connection
		}
		a.release()
	}
}

// seek is obtain's loop. It gives the request to backend after backend: past failures to connect without asking, past
// other failures, and answers that are not wanted, as far as the configuration allows.
func (ex *exchange) seek() (*attempt, *failure) {
	var last *failure
	for counted := false; ; {
		a, f := ex.begin()
		if !counted {
			ex.countRequest()
			counted = true
		}
		if last != nil && last.answer != nil {
			if f != nil && f.unavailable {
				return ex.takeHeld(last.answer), nil // nobody is left to give a better answer
			}
			last.answer.drop()
			last.answer = nil
		}
		if last != nil && f != nil && f.unavailable && f.final {
			return nil, last // it lined up in vain, and what went wrong before says more
		}
		if f == nil {
			if a, f = ex.send(a); f == nil {
				return a, nil
			}
			if f.answer == nil {
				a.release()
			}
		}
		sent := !f.unavailable && !f.unsent()
		switch {
		case f.unavailable && last != nil:
			f = last // what went wrong says more than that nothing is left to try
		case !f.unavailable:
			last = f
		}
		// The backend never saw the request, so the others are asked whatever the method. Once they all
		// failed, begin says so, and what is configured decides.
		if f.unsent() {
			if f = ex.filterConnectFailure(f); !f.final && a != nil && ex.reclaimBody() {
				ex.again++
				continue
			}
		}
		if g := ex.retryAfter(f, sent); g != nil {
			if f.answer == nil {
				return nil, g
			}
			if g != f { // the client left
				f.answer.drop()
				return nil, g
			}
			return ex.takeHeld(f.answer), nil
		}
		ex.again++
		ex.logRetry(f)
	}
}

// takeHeld makes an answer that was held the client's after all.
func (ex *exchange) takeHeld(a *attempt) *attempt {
	ex.current.Store(a)
	return a
}

// retryAfter waits until the request may be given to a backend again. It returns the failure to end with when
// that is not allowed, or when the client leaves. sent says that a backend was sent something since the last time.
func (ex *exchange) retryAfter(f *failure, sent bool) *failure {
	rules := &ex.h.retry
	if f.final || !rules.left(ex) {
		return f
	}
	switch {
	case f.unavailable, f.unsent():
		if !rules.rounds {
			return f
		}
	case f.cause == causeNone: // an answer that is not wanted
	default:
		if !ex.resendable() || !rules.allowsFailed(ex, f.cause) {
			return f
		}
	}
	if f.answer != nil {
		ex.spare(f.answer) // which is there only once the body was read to its end
	} else if !ex.reclaimBody() {
		return f
	}
	wait, ok := ex.pause()
	if !ok || sent && !ex.takeRetry() {
		return f
	}
	if f.answer != nil {
		f.answer.hold()
	}
	if !ex.wait(wait) {
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

// resendable reports whether another backend can be given the whole body, as far as it was read until now.
func (ex *exchange) resendable() bool { return ex.body == nil || ex.body.replayable() }

// reclaimBody takes the body back from a try that is over, and reports whether another backend can be given the whole of it.
func (ex *exchange) reclaimBody() bool { return ex.body == nil || ex.body.reclaim() }

// send gives the request to the attempt's backend, and says what came of it: no failure for an answer that is to go to the
// client. With hedging the answer may be another attempt's, which is returned then.
func (ex *exchange) send(a *attempt) (*attempt, *failure) {
	a.before, ex.latest = ex.latest, a
	ex.logSelected(a) // before there is a second try, which is counted
	if ex.h.hedging != nil && ex.race == nil {
		return ex.sendHedged(a)
	}
	res, err := a.carry() //nolint:bodyclose // respond, reject and switchProtocols close it
	return a.judged(res, err)
}

// carry does the round trip, and takes its time.
func (a *attempt) carry() (res *http.Response, err error) {
	a.begun = time.Now()
	a.try.Begun = a.begun
	if limit := a.ex.h.retry.tryTimeout; limit > 0 {
		res, err = a.roundTripWithin(limit)
	} else {
		res, err = a.roundTrip()
	}
	a.try.Latency = time.Since(a.begun)
	return res, err
}

// judged is judge, together with the attempt.
func (a *attempt) judged(res *http.Response, err error) (*attempt, *failure) {
	f := a.judge(res, err)
	return a, f
}

// judge says what came of a round trip: nil for an answer that is to go to the client.
func (a *attempt) judge(res *http.Response, err error) *failure {
	ex := a.ex
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
	a.note(res)
	a.answered.Store(true)
	ex.logRoundTrip(a, nil)
	if f := a.refuseSwitch(); f != nil {
		return f
	}
	if f := a.filterAnswer(); f != nil {
		return f
	}
	return a.reject()
}

// note keeps what the answer says of the backend.
func (a *attempt) note(res *http.Response) {
	a.res = res
	a.try.Status = res.StatusCode
	if res.StatusCode >= 500 || res.StatusCode == http.StatusTooManyRequests {
		a.try.RetryAfter = retryAfterOf(res.Header, time.Now())
	}
}

// reject finds answers that the configuration wants another one for. One that retry_on is about stays, in case there is no
// other; one that lb_retry_match is about is given back. It reports nil for all others.
func (a *attempt) reject() *failure {
	ex, rules := a.ex, &a.ex.h.retry
	// While the client still sends its body, this try reads it, and more of it may come than is kept.
	if rules.on.afterStatus(a.try.Status, a.req.Method) && (ex.body == nil || ex.body.complete()) && ex.resendable() {
		return &failure{status: a.try.Status, err: errRejected{a.try.Status, "retry_on"}, answer: a}
	}
	if len(rules.onAnswer) == 0 || !ex.resendable() || !rules.rejects(a) {
		return nil
	}
	drain(a.res.Body)
	return &failure{status: a.res.StatusCode, err: errRejected{a.res.StatusCode, "lb_retry_match"}}
}

// errRejected is an answer that an option asked to try again.
type errRejected struct {
	status int
	option string
}

func (e errRejected) Error() string {
	return "the backend answered " + strconv.Itoa(e.status) + ", which " + e.option + " rejects"
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
