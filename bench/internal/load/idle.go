package load

import (
	"errors"
	"fmt"
	"time"

	"github.com/caddylb/caddy-lb/bench/internal/proc"
)

// quiet is how long everything rests before memory is read.
const quiet = 300 * time.Millisecond

// idle measures memory. A few clients warm the proxy up and go; then others open a connection each, and rest.
// Then each of these sends a request that the backends hold until all are there, so that the proxy opens a
// connection for each, and rests again.
func (d *driver) idle(f *farm, r *Result) error {
	pids := proc.Tree(d.run.PID)
	rest := func() (int64, error) {
		if err := d.during(quiet); err != nil {
			return 0, err
		}
		now, peak, err := proc.Memory(pids)
		r.Peak = peak
		return now, err
	}
	if err := d.warmIdle(); err != nil {
		return err
	}
	before, err := rest()
	if err != nil {
		return err
	}
	if err := d.settle(); err != nil {
		return err
	}
	front, err := rest()
	if err != nil {
		return err
	}
	opened := f.open
	if err := d.holdAll(); err != nil {
		return err
	}
	upstream, err := rest()
	if err != nil {
		return err
	}
	r.FrontIdle = float64(front-before) / float64(len(d.places))
	if more := f.open - opened; more > 0 {
		r.UpstreamIdle = float64(upstream-front) / float64(more)
	}
	r.Requests = int64(2 * len(d.places))
	return nil
}

// warmIdle has a few clients of its own send requests for the time of the warm-up, and closes their connections.
func (d *driver) warmIdle() error {
	run := *d.run
	run.Conns = min(ramp/2, run.Conns)
	warm, err := newDriver(d.loop, &run)
	if err != nil {
		return err
	}
	defer func() {
		warm.drain()
		for reason, n := range warm.errors {
			d.errors[reason] += n
		}
	}()
	if err := warm.settle(); err != nil {
		return err
	}
	warm.closeLoop()
	return warm.warmUp()
}

// holdAll has each client send a request, none of which is answered before the last has arrived.
func (d *driver) holdAll() error {
	request := requestHead(&Run{}, serverName, fmt.Sprintf("/hold/%d", len(d.places)))
	for _, p := range d.places {
		c, ok := p.(*h1Client)
		if !ok {
			return errors.New("idle connections are measured with HTTP/1.1")
		}
		d.underWay++
		c.send(request, d.loop.Now())
	}
	return d.until(patience, func() bool { return d.underWay == 0 })
}
