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
}

// Error implements error.
func (e *Error) Error() string {
	return fmt.Sprintf("filter %s, phase %s: %v", e.Filter, e.Phase, e.Err)
}

// Unwrap returns the error behind it.
func (e *Error) Unwrap() error { return e.Err }

// Status is what the client is answered: that of a caddyhttp.Error, 504 when time was over, 500 for anything else.
func (e *Error) Status() int {
	var known caddyhttp.HandlerError
	switch {
	case errors.As(e.Err, &known) && known.StatusCode != 0:
		return known.StatusCode
	case errors.Is(e.Err, errLate), errors.Is(e.Err, context.DeadlineExceeded):
		return http.StatusGatewayTimeout
	}
	return http.StatusInternalServerError
}

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
