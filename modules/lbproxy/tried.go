package lbproxy

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/caddylb/caddy-lb/lb"
)

// maxTriedNamed bounds the backends that an error names.
const maxTriedNamed = 10

// triedError names the backends that a request was given to, and what came of it.
type triedError struct {
	text string
	last error
}

// Error implements error.
func (e *triedError) Error() string { return e.text }

// Unwrap returns the error of the latest try.
func (e *triedError) Unwrap() error { return e.last }

// withTries names in a failure that came of tries every backend that was tried, by its latest try.
func (ex *exchange) withTries(f *failure) *failure {
	if f.unavailable || f.cause == causeCanceled || f.cause == causeBody {
		return f // the backends are not to blame
	}
	var rejected errRejected
	found := errors.As(f.err, &rejected)
	var tried []string
	more := 0
	seen := make(map[*lb.Backend]bool)
	for a := ex.latest; a != nil; a = a.before {
		found = found || a.try.Err != nil && a.try.Err.Error() == f.err.Error()
		switch b := a.member.Backend; {
		case seen[b]:
		case len(tried) == maxTriedNamed:
			seen[b] = true
			more++
		default:
			seen[b] = true
			tried = append(tried, "backend "+b.Address().String()+": "+a.came())
		}
	}
	if !found { // it is of something else, a filter for example
		return f
	}
	slices.Reverse(tried)
	text := "pool " + ex.pool.Name() + ": " + strings.Join(tried, "; ")
	if more > 0 {
		text += fmt.Sprintf("; and %d more backends before", more)
	}
	named := *f
	named.err = &triedError{text, f.err}
	return &named
}

// came is what the try came to, for people.
func (a *attempt) came() string {
	if a.try.Err != nil {
		return a.try.Err.Error()
	}
	return fmt.Sprintf("it answered %d", a.try.Status)
}
