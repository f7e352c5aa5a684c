package load

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/caddylb/caddy-lb/bench/internal/reactor"
)

// Serve is the load process. It reads Backends, writes Ready, reads a Run and writes its Result, each as JSON. It
// returns at the end of in.
func Serve(in io.Reader, out io.Writer) error {
	// All that happens is on this thread; the little garbage there is may wait.
	runtime.LockOSThread()
	debug.SetGCPercent(1000)
	dec, enc := json.NewDecoder(in), json.NewEncoder(out)
	var backends Backends
	if err := dec.Decode(&backends); err != nil {
		return fmt.Errorf("read the backends: %w", err)
	}
	loop, err := reactor.New()
	if err != nil {
		return err
	}
	defer loop.Close()
	farm, addresses, err := listen(loop, backends)
	if err != nil {
		return err
	}
	if err := enc.Encode(Ready{Addresses: addresses}); err != nil {
		return err
	}
	var run Run
	if err := dec.Decode(&run); err != nil {
		return fmt.Errorf("read the run: %w", err)
	}
	result, err := do(loop, farm, &run)
	if err != nil {
		return err
	}
	if err := enc.Encode(result); err != nil {
		return err
	}
	// The end of the input says that the result was read.
	_, err = io.Copy(io.Discard, in)
	return err
}

// do carries a run out. Requests that fail are part of its result.
func do(loop *reactor.Loop, farm *farm, run *Run) (*Result, error) {
	d, err := newDriver(loop, run)
	if err != nil {
		return nil, err
	}
	r := &Result{}
	if run.Idle {
		err = d.idle(farm, r)
	} else {
		err = d.traffic(r)
	}
	// What could not be waited for stands among the errors of requests.
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, err
	}
	d.drain()
	r.Errors = d.errors
	r.Accepted, r.Used = farm.accepted, farm.used()
	return r, nil
}

// traffic warms up and measures.
func (d *driver) traffic(r *Result) error {
	if err := d.settle(); err != nil {
		return err
	}
	if d.run.Rate > 0 {
		ticker, err := newOpenLoop(d, d.run.Rate)
		if err != nil {
			return err
		}
		defer ticker.Stop()
	} else {
		d.closeLoop()
	}
	if err := d.warmUp(); err != nil {
		return err
	}
	if err := d.measure(r); err != nil {
		return err
	}
	r.Requests = d.latency.Count()
	r.P50 = time.Duration(d.latency.Quantile(0.5))
	r.P99 = time.Duration(d.latency.Quantile(0.99))
	r.P999 = time.Duration(d.latency.Quantile(0.999))
	return nil
}
