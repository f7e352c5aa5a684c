package lbproxy

import (
	"errors"
	"fmt"

	"github.com/caddyserver/caddy/v2"
)

// RetryBackoff is the wait before a request is tried again: a random time up to Base, doubled with each retry, Max at most
// ("full jitter", AWS Architecture Blog 2015; Envoy's retry_back_off). A failure to connect is tried on the next backend without any.
type RetryBackoff struct {
	// Base is the longest wait before the first retry. Above 0.
	Base caddy.Duration `json:"base,omitempty"`

	// Max is the longest wait before any. Default: 10 times Base.
	Max caddy.Duration `json:"max,omitempty"`
}

// RetryBudget bounds the retries of all requests of the pool that come through handlers with a budget: in 10 seconds at most the larger of Percent
// of their requests and MinPerSecond for each second (Finagle's retry budget). Going on to another backend after a failure to connect is no retry.
type RetryBudget struct {
	// Percent of requests that may be tried again, from above 0 to 100.
	Percent float64 `json:"percent,omitempty"`

	// MinPerSecond is how many retries are always allowed each second. Default: 10.
	MinPerSecond *float64 `json:"min_per_second,omitempty"`
}

// Defaults of retries.
const (
	defaultBackoffFactor    = 10 // Max by Base, as in Envoy
	defaultRetriesPerSecond = 10 // as in Finagle
	defaultRetriesOn        = 1  // lb_retries where only retry_on is written, as Envoy's num_retries
)

// max is Max with its default.
func (b *RetryBackoff) max() caddy.Duration {
	if b.Max > 0 {
		return b.Max
	}
	return defaultBackoffFactor * b.Base
}

// validateRetries checks what of the parameters is about retries.
func (l *LoadBalancing) validateRetries() error {
	if b := l.RetryBackoff; b != nil {
		if b.Base <= 0 {
			return errors.New("retry_backoff: base must be above 0, such as 25ms")
		}
		if b.Max != 0 && b.Max < b.Base {
			return errors.New("retry_backoff: max must not be below base")
		}
	}
	if b := l.RetryBudget; b != nil {
		if !(b.Percent > 0 && b.Percent <= 100) {
			return fmt.Errorf("retry_budget: percent %v is not above 0 and up to 100", b.Percent)
		}
		if b.MinPerSecond != nil && !(*b.MinPerSecond >= 0) {
			return fmt.Errorf("retry_budget: min_per_second %v is below 0", *b.MinPerSecond)
		}
	}
	if l.TryTimeout < 0 {
		return errors.New("try_timeout must be above 0, such as 2s")
	}
	if l.Retries != 0 || l.TryDuration != 0 || len(l.RetryOn) > 0 {
		return nil
	}
	switch {
	case l.RetryBackoff != nil:
		return errors.New("retry_backoff has nothing to wait for: add retry_on, lb_retries or lb_try_duration")
	case l.RetryBudget != nil:
		return errors.New("retry_budget has nothing to bound: add retry_on, lb_retries or lb_try_duration")
	}
	return nil
}
