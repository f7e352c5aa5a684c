package healthcheck

import (
	"context"
	"time"
)

// jittered moves interval by at most its share jitter, to either side; u is random, from 0 to below 1. Moving
// each interval anew lets checks that began together drift apart.
func jittered(interval time.Duration, jitter, u float64) time.Duration {
	return interval + time.Duration(float64(interval)*jitter*(2*u-1))
}

// plan sets when the next check is due, counted from the start of the latest.
func (m *Monitor) plan(started time.Time, u float64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	interval := m.interval
	if !m.state.health.Up {
		interval = m.intervalUnhealthy
	}
	m.next = started.Add(jittered(interval, m.jitter, u))
}

// wait blocks until a check is due, asked for, or ctx ends, which it reports with false. While a check that
// outlived its timeout has not returned, no other is due.
func (m *Monitor) wait(ctx context.Context) bool {
	m.mu.Lock()
	next, late := m.next, m.late
	m.mu.Unlock()

	timer := time.NewTimer(time.Until(next))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
	case <-m.wake:
	}
	if late == nil {
		return ctx.Err() == nil
	}
	select {
	case <-ctx.Done():
		return false
	case <-late:
	}
	m.mu.Lock()
	m.late = nil
	m.mu.Unlock()
	return true
}
