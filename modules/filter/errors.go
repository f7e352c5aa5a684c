package filter

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// Error is a filter's failure in one phase.
type Error struct {
	Filter string
	Phase  string
	Err    error

	// StatusCode is what the client is answered: that of a caddyhttp.Error, 504 when time was over, 500 for anything else.
	StatusCode int
}

// newError names filter and phase. A caddyhttp.Error in err gives its status and what is behind it: left inside, it would take the
// place of what is around it.
func newError(filter, phase string, err error) *Error {
	e := &Error{Filter: filter, Phase: phase, Err: err, StatusCode: http.StatusInternalServerError}
	var known caddyhttp.HandlerError
	switch {
	case errors.As(err, &known):
		e.StatusCode, e.Err = known.StatusCode, known.Err
		if known.Err == nil {
			e.Err = errors.New(http.StatusText(known.StatusCode))
		}
	case errors.Is(err, errLate), errors.Is(err, context.DeadlineExceeded):
		e.StatusCode = http.StatusGatewayTimeout
	}
	return e
}

// Error implements error.
func (e *Error) Error() string {
	return fmt.Sprintf("filter %s, phase %s: %v", e.Filter, e.Phase, e.Err)
}

// Unwrap returns the error behind it.
func (e *Error) Unwrap() error { return e.Err }

var (
	errNoRouter = errors.New("the request has no pool that could be changed")
	errLate     = errors.New("it took longer than filter_timeout")
)

// panicked is a filter's panic as an error.
type panicked struct {
	value any
	stack []byte
}

// Error implements error.
func (p *panicked) Error() string { return fmt.Sprintf("panic: %v\n%s", p.value, p.stack) }
