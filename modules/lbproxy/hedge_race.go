package lbproxy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/caddylb/caddy-lb/lb"
)

// errHedged ends a try of a hedged request when another one has the answer.
var errHedged = errors.New("another backend answered first")

// race is the two tries of a hedged request. The request's goroutine carries the first one; when that takes too long, a timer's
// goroutine picks a second backend and carries the second one. The request's goroutine touches nothing that the other one uses until that is
// done, and releases both.
type race struct {
	ex    *exchange
	first *attempt
	delay time.Duration // after which a second backend is asked

	making sync.Mutex // held while a request is made for a backend: placeholders show the current try

	second atomic.Pointer[attempt] // nil until it is about to be sent
	winner atomic.Pointer[attempt] // the first with a good answer
	over   chan struct{}           // closed when the first has come to its end
	done   chan struct{}           // closed when the second has, or was not made

	res     *http.Response // of the second
	err     error
	givenUp bool // the second was interrupted when it ended

	settled bool // result is known
	result  hedgeResult
}

// sendHedged is send for a request that is given to a second backend when the first takes too long.
func (ex *exchange) sendHedged(first *attempt) (*attempt, *failure) {
	pool := first.pool
	if ex.latest.before == nil {
		pool.state.hedges.Request(lb.Monotonic())
	}
	delay, ok := ex.h.hedging.after(pool.state)
	if !ok || !ex.mayHedge() {
		res, err := first.carry() //nolint:bodyclose // respond and reject close it
		ex.observeHedging(first, err)
		return first.judged(res, err)
	}
	first.makeInterruptible()
	r := &race{ex: ex, first: first, delay: delay, over: make(chan struct{}), done: make(chan struct{})}
	ex.race = r
	timer := time.AfterFunc(delay, r.hedge)
	res, err := r.carryFirst(timer) //nolint:bodyclose // respond, reject and lose close it
	if timer.Stop() {
		ex.race = nil // it may be hedged when it is tried again
		ex.observeHedging(first, err)
		return first.judged(res, err)
	}
	return r.settle(res, err)
}

// carryFirst carries the first try. A panic of whoever is told of interim answers ends the second one, too.
func (r *race) carryFirst(timer *time.Timer) (res *http.Response, err error) {
	panicking := true
	defer func() {
		if panicking && !timer.Stop() {
			r.breakOff()
		}
	}()
	res, err = r.first.carry()
	panicking = false
	return res, err
}

// breakOff ends the second try of a request that is broken off.
func (r *race) breakOff() {
	close(r.over)
	r.winner.CompareAndSwap(nil, r.first) // so that none is begun
	if a := r.second.Load(); a != nil {
		a.interrupt(errHedged)
	}
	<-r.done
	if a := r.second.Load(); a != nil {
		a.lose(r.res, r.err, r.givenUp)
		a.release()
	}
}

// observeHedging takes the time of a try into account that was answered.
func (ex *exchange) observeHedging(a *attempt, err error) {
	if err == nil {
		ex.h.hedging.observe(a.pool.state, a.try.Latency)
	}
}

// hedge carries the second try, on a goroutine of its own.
func (r *race) hedge() {
	defer close(r.done)
	defer func() {
		if v := recover(); v != nil { // nobody else would: the request's own goroutine has the server for that
			r.err = fmt.Errorf("panic: %v", v)
			r.ex.h.logger.Error("hedging a request panicked", zap.Any("panic", v), zap.ByteString("stack", debug.Stack()))
		}
	}()
	a := r.await()
	if a == nil {
		return
	}
	r.ex.logSelected(a)
	a.makeInterruptible()
	r.second.Store(a)
	if r.winner.Load() != nil {
		a.cancel(errHedged) // whoever won may have looked before there was anybody to interrupt
	}
	r.res, r.err = a.carry() //nolint:bodyclose // settle closes it, or has it judged
	r.givenUp = a.superseded(r.err)
	if r.good(r.res, r.err) && r.winner.CompareAndSwap(nil, a) {
		r.first.interrupt(errHedged)
	}
}

// earlyShare is the part of the budget that is for requests which have just become late. Most of those have their answers a moment
// later; the rest of the budget is for those that have not.
const earlyShare = 0.75

// await is begin, once the budget allows it. It is asked again after ever longer times.
func (r *race) await() *attempt {
	limit := r.ex.h.hedging.limit
	early := limit
	early.Share *= earlyShare
	a, broke := r.begin(early)
	for wait := r.delay / 2; broke; wait += wait / 4 {
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-r.over:
			timer.Stop()
			return nil
		}
		a, broke = r.begin(limit)
	}
	return a
}

// begin picks another backend for the request and makes the request for it. Nobody waits in a queue for that. broke says that
// there is no attempt as the budget does not allow one now.
func (r *race) begin(limit lb.BudgetLimit) (a *attempt, broke bool) {
	ex := r.ex
	state := ex.pool.state
	if r.winner.Load() != nil || state.queue.Len() > 0 {
		return nil, false
	}
	// A backend is picked only once the budget allows it: a pick that comes to nothing would take a
	// turn from the next hedge.
	if !state.hedges.Allows(limit, lb.Monotonic()) {
		return nil, true
	}
	// A client stays with the backend of its cookie: the second one is for this request alone.
	client := ex.pick.Writer
	ex.pick.Writer = &discard{header: make(http.Header)}
	m := ex.take()
	ex.pick.Writer = client
	if m == nil {
		return nil, false
	}
	second := &attempt{Context: ex.in.Context(), ex: ex, member: m, pool: ex.pool, quiet: true}
	defer func() {
		if a == nil { // be it for a panic
			second.release()
		}
	}()
	if !state.hedges.Take(limit, lb.Monotonic()) {
		return nil, true
	}
	ex.pick.Tried.Add(m.Backend)
	r.making.Lock()
	defer r.making.Unlock()
	ex.tries++
	if second.prepare() != nil {
		return nil, false
	}
	return second, false
}

// good reports whether an answer ends the race.
func (r *race) good(res *http.Response, err error) bool {
	return err == nil && res.StatusCode < http.StatusInternalServerError &&
		!r.ex.h.retry.on.afterStatus(res.StatusCode, r.ex.out.Method)
}

// settle ends the race, given what came of the first try, and goes on with the better one.
func (r *race) settle(res *http.Response, err error) (*attempt, *failure) {
	close(r.over)
	ex, first := r.ex, r.first
	givenUp := first.superseded(err)
	if r.good(res, err) && r.winner.CompareAndSwap(nil, first) {
		if a := r.second.Load(); a != nil {
			a.interrupt(errHedged)
		}
	}
	<-r.done
	second := r.second.Load()
	if second == nil { // nobody was there to be asked
		ex.race = nil
		ex.current.Store(first)
		ex.observeHedging(first, err)
		return first.judged(res, err)
	}
	second.before, ex.latest = ex.latest, second
	ex.again++
	if err == nil || r.winner.Load() == second {
		// That it was given up says that it would have taken longer.
		ex.h.hedging.observe(first.pool.state, first.try.Latency)
	}
	taken, loser := first, second
	r.settled, r.result = true, hedgeLost
	if won := r.winner.Load(); won == second || won == nil && err != nil && r.err == nil {
		taken, loser, r.result = second, first, hedgeWon
	}
	first.pool.state.hedged[r.result].Add(1)
	if taken == second {
		loser.lose(res, err, givenUp)
		res, err = r.res, r.err
	} else {
		loser.lose(r.res, r.err, r.givenUp)
	}
	loser.release()
	ex.current.Store(taken)
	ex.showTry(taken)
	return taken.judged(res, err)
}

// superseded reports whether the attempt, which came to err, was interrupted since another one has the answer. The engine is
// interrupted before the context, so that either may know first.
func (a *attempt) superseded(err error) bool {
	return errors.Is(err, errHedged) || errors.Is(context.Cause(a.Context), errHedged)
}

// lose notes what came of a try whose answer is not needed. givenUp says that it failed by being interrupted.
func (a *attempt) lose(res *http.Response, err error, givenUp bool) {
	switch {
	case err == nil:
		a.note(res)
		if res.Body != nil {
			_ = res.Body.Close()
		}
	case givenUp:
		a.try.Cause, a.try.Err = causeHedged, errHedged
		a.haunt()
	default:
		f := a.classify(err)
		a.try.Cause, a.try.Err = f.cause, f.err
	}
}

// maxGhost bounds how long a place is taken by a request that was given up.
const maxGhost = 10 * time.Second

// haunt has the place of a try that was given up count as taken for as long as the backend is likely to be at work on it, by its
// latency average. Otherwise the slower backend would look idle, and policies that count requests under way would give it more of
// them, of which each has to be hedged.
func (a *attempt) haunt() {
	if average, known := a.member.Latency().Last(); known {
		a.ghost = min(average-a.try.Latency, maxGhost)
	}
}

// hedgedBy says how the request was hedged; empty when it was not.
func (ex *exchange) hedgedBy() string {
	if ex.race == nil || !ex.race.settled {
		return ""
	}
	return hedgeResults[ex.race.result]
}
