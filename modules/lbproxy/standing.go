package lbproxy

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddylb/caddy-lb/lb"
	"github.com/caddylb/caddy-lb/modules/healthcheck"
)

// standing is how well a backend does in a pool, as operators are told. Orders are apart from it: a
// drained backend may be up or down.
type standing int

const (
	standingUnseen      standing = iota // nobody was told anything yet
	standingPending                     // it counts as down until its first check ends
	standingUp                          // as far as anybody knows
	standingUnreachable                 // requests cannot connect to it
	standingDown                        // by checks, active or passive
	standingEjected                     // by outlier detection
	standingTrial                       // back from that for one request at a time
)

// told is what operators were told of a backend in a pool last. Pools of one name share it, also
// those that share no [poolState], as their sets of backends differ.
type told struct {
	mu sync.Mutex // guards the fields below; locked after poolState.telling

	standing standing
	reason   string
	ejection time.Duration // since of the latest ejection that was told

	orders  bool // what follows is known
	drained bool
	ordered bool // an operator's weight holds
	weight  int
}

// outage begins with the first request that could not connect to a backend, and ends with an answer
// or with a check that passes.
type outage struct {
	reason string
	due    atomic.Bool // operators are to be told
	told   atomic.Bool // they were, or knew that the backend is out
}

// outageEvery is how often an outage of one backend is told at most. A backend that refuses every
// other connection would fill the log otherwise.
const outageEvery = 10 * time.Second

// reach is what requests say of whether a backend can be connected to. It belongs to [stats].
// Requests write to it only when a connection fails, and when one succeeds after that.
type reach struct {
	outage atomic.Pointer[outage]
	next   atomic.Int64 // on the clock of lb.Monotonic: when an outage may be told again
}

// observe takes a try into account, and reports whether operators are to hear of it.
func (r *reach) observe(t *try) (due bool) {
	switch o := r.outage.Load(); {
	case t.Status != 0:
		return o != nil && r.end(o)
	case t.Cause != causeConnect:
		return false
	case o == nil:
		return r.begin(t.Err.Error())
	case o.due.Load() || !r.claim():
		return false
	default:
		o.due.Store(true)
		return true
	}
}

// begin begins an outage, and reports whether operators are to hear of it now.
func (r *reach) begin(reason string) (due bool) {
	o := &outage{reason: reason}
	due = r.claim()
	o.due.Store(due)
	if r.outage.CompareAndSwap(nil, o) || !due {
		return due
	}
	if o = r.outage.Load(); o != nil { // another request began it just now
		o.due.Store(true)
	}
	return true
}

// end ends an outage, and reports whether operators were told of it.
func (r *reach) end(o *outage) bool { return r.outage.CompareAndSwap(o, nil) && o.told.Load() }

// claim reports whether an outage may be told now. Of those who ask at once one may tell.
func (r *reach) claim() bool {
	now, next := int64(lb.Monotonic()), r.next.Load()
	return now >= next && r.next.CompareAndSwap(next, now+int64(outageEvery))
}

// standing is how the backend does now. With an outage under way it is returned as well.
func (e *entry) standing(m *lb.Member) (standing, *outage) {
	o := e.stats.reach.outage.Load()
	switch down, pending := conditions(m); {
	case down && o != nil && o.due.Load():
		return standingUnreachable, o
	case down && pending:
		return standingPending, nil
	case down:
		return standingDown, nil
	}
	switch {
	case m.EjectedNow():
		return standingEjected, o
	case e.outlier != nil && e.outlier.OnTrial():
		return standingTrial, o
	case o != nil:
		return standingUnreachable, o
	}
	return standingUp, nil
}

// conditions reports whether a member's checks keep it out, and whether all that do are only yet to
// have a first result.
func conditions(m *lb.Member) (down, pending bool) {
	pending = true
	for _, c := range m.Conditions {
		if c.Healthy() {
			continue
		}
		down = true
		monitor, ok := c.(*healthcheck.Monitor)
		pending = pending && ok && !monitor.Known()
	}
	return down, pending
}
