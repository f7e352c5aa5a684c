package load

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/caddylb/caddy-lb/bench/internal/proc"
	"github.com/caddylb/caddy-lb/bench/internal/reactor"
	"github.com/caddylb/caddy-lb/bench/internal/stats"
)

const (
	// ramp is how many connections are opened at a time, so that no backlog overflows.
	ramp = 64
	// maxErrors ends a run that cannot succeed.
	maxErrors = 100
	// patience bounds what waits for the proxy: the first answers, and the last.
	patience = 15 * time.Second
)

// place is where one request can be under way: a connection, or a stream of one.
type place interface {
	// start sends a request whose latency counts from intended.
	start(intended int64)
	// close ends the connection.
	close()
}

// driver has the places send requests and keeps the figures.
type driver struct {
	loop   *reactor.Loop
	run    *Run
	target *net.TCPAddr
	config *tls.Config // nil without TLS
	script *script

	places   []place
	fresh    int              // how many of places have been started
	free     func(place)      // what happens to a place whose request is done
	settling map[place]bool   // had no answer yet
	done     int64            // requests that succeeded
	underWay int              // requests
	counting bool             // within the time that is measured
	latency  stats.Histogram  // of the requests counted
	errors   map[string]int64 // by reason
	failed   int64            // sum of errors
}

func newDriver(l *reactor.Loop, run *Run) (*driver, error) {
	target, err := net.ResolveTCPAddr("tcp4", run.Target)
	if err != nil {
		return nil, err
	}
	d := &driver{
		loop: l, run: run, target: target, script: newScript(run),
		settling: make(map[place]bool), errors: make(map[string]int64),
	}
	if run.CA != "" {
		if d.config, err = clientTLS(run); err != nil {
			return nil, err
		}
	}
	for range run.Conns {
		switch run.Protocol {
		case H1:
			d.places = append(d.places, &h1Client{d: d})
		case H2:
			d.places = append(d.places, newH2Conn(d, run.Streams)...)
		case WebSocket:
			d.places = append(d.places, &wsClient{d: d})
		default:
			return nil, fmt.Errorf("no such protocol: %q", run.Protocol)
		}
	}
	d.free = d.rest
	return d, nil
}

// closeLoop has every place send a request, and from then on the next one when the answer is there.
func (d *driver) closeLoop() {
	d.free = d.again
	for _, p := range d.places {
		d.again(p)
	}
}

// warmUp turns the loop for the time that the run says, and until each place had an answer, so that what happens
// once is over.
func (d *driver) warmUp() error {
	enough := d.done + int64(len(d.places))
	if err := d.during(d.run.Warmup); err != nil {
		return err
	}
	return d.until(patience, func() bool { return d.done >= enough })
}

func (d *driver) again(p place) { d.begin(p, d.loop.Now()) }

// rest leaves a place alone.
func (d *driver) rest(place) {}

func (d *driver) begin(p place, intended int64) {
	d.underWay++
	p.start(intended)
}

// rampUp starts one place more, if one is left. Each answer to a place's first request calls it again.
func (d *driver) rampUp() {
	if d.fresh < len(d.places) {
		p := d.places[d.fresh]
		d.fresh++
		d.settling[p] = true
		d.begin(p, d.loop.Now())
	}
}

// complete is called by a place whose request was answered as it should be.
func (d *driver) complete(p place, started int64) {
	d.underWay--
	d.done++
	if d.counting {
		d.latency.Add(d.loop.Now() - started)
	}
	d.next(p)
}

// fail is called by a place whose request was not.
func (d *driver) fail(p place, reason string) {
	d.underWay--
	d.errors[reason]++
	d.failed++
	d.next(p)
}

func (d *driver) next(p place) {
	if len(d.settling) > 0 && d.settling[p] {
		delete(d.settling, p)
		d.rampUp()
	}
	if d.failed < maxErrors {
		d.free(p)
	}
}

// until turns the loop until a condition holds, the time given has passed, or too much has failed.
func (d *driver) until(limit time.Duration, holds func() bool) error {
	end := d.loop.Now() + int64(limit)
	for !holds() {
		left := end - d.loop.Now()
		if left <= 0 || d.failed >= maxErrors {
			return os.ErrDeadlineExceeded
		}
		if err := d.loop.Poll(min(time.Duration(left), 10*time.Millisecond)); err != nil {
			return err
		}
	}
	return nil
}

// settle has every place send one request and get its answer. Those that have it rest: a proxy that is kept busy may
// take seconds to accept the others.
func (d *driver) settle() error {
	for range min(ramp, len(d.places)) {
		d.rampUp()
	}
	err := d.until(patience, func() bool { return d.fresh == len(d.places) && len(d.settling) == 0 })
	if err != nil && d.failed == 0 {
		d.errors["no answer to the first requests"] += int64(max(len(d.settling), 1))
	}
	return err
}

// during turns the loop for a time.
func (d *driver) during(t time.Duration) error {
	if err := d.until(t, func() bool { return false }); !errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	return nil
}

// drain waits for the answers that are still to come, and closes all connections.
func (d *driver) drain() {
	d.free = d.rest
	if d.until(patience, func() bool { return d.underWay == 0 }) != nil && d.failed < maxErrors {
		d.errors["no answer at the end"] += int64(d.underWay)
	}
	for _, p := range d.places {
		p.close()
	}
}

// measure fills in what is measured over a time in which the places are busy.
func (d *driver) measure(r *Result) error {
	pids := proc.Tree(d.run.PID)
	before, err := d.read(pids)
	if err != nil {
		return err
	}
	d.counting = true
	if err := d.during(d.run.Duration); err != nil {
		return err
	}
	// The shortest of runs still has a request.
	_ = d.until(patience, func() bool { return d.latency.Count() > 0 })
	d.counting = false
	after, err := d.read(pids)
	if err != nil {
		return err
	}
	r.Wall = time.Duration(after.now - before.now)
	r.ProxyCPU, r.LoadCPU = after.proxy-before.proxy, after.load-before.load
	r.OtherCPU = max(after.all-before.all-r.ProxyCPU-r.LoadCPU, 0)
	_, r.Peak, err = proc.Memory(pids)
	return err
}

// clocks are read at the beginning and at the end of what is measured.
type clocks struct {
	now              int64
	proxy, load, all time.Duration
}

func (d *driver) read(pids []int) (c clocks, err error) {
	if c.proxy, err = proc.CPU(pids); err != nil {
		return c, err
	}
	if c.load, err = proc.CPU([]int{os.Getpid()}); err != nil {
		return c, err
	}
	c.all, err = proc.Busy(d.run.CPUs)
	c.now = d.loop.Now()
	return c, err
}
