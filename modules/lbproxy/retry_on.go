package lbproxy

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/caddylb/caddy-lb/internal/h1"
)

// retryOn are the conditions of retry_on. It is nil where none are configured.
type retryOn struct {
	connect, timeout, reset bool

	nonIdempotent bool
	status        [600]bool
}

const retryOnUsage = "connect, timeout, reset, gateway, 5xx, a status code such as 503, or non_idempotent"

// parseRetryOn reads the words of retry_on.
func parseRetryOn(words []string) (*retryOn, error) {
	if len(words) == 0 {
		return nil, nil
	}
	on := new(retryOn)
	for _, word := range words {
		switch word {
		case "connect":
			on.connect = true
		case "timeout":
			on.timeout = true
		case "reset":
			on.reset = true
		case "gateway":
			on.status[http.StatusBadGateway] = true
			on.status[http.StatusServiceUnavailable] = true
			on.status[http.StatusGatewayTimeout] = true
		case "5xx":
			for code := 500; code < len(on.status); code++ {
				on.status[code] = true
			}
		case "non_idempotent":
			on.nonIdempotent = true
		default:
			code, err := strconv.Atoi(word)
			if err != nil || code < 200 || code >= len(on.status) {
				return nil, fmt.Errorf("retry_on %q is none of the conditions: write %s", word, retryOnUsage)
			}
			on.status[code] = true
		}
	}
	if *on == (retryOn{nonIdempotent: true}) {
		return nil, fmt.Errorf("retry_on %s has no condition: add one of %s", strings.Join(words, " "), retryOnUsage)
	}
	return on, nil
}

// afterCause reports whether a request is tried again whose try failed without an answer.
func (on *retryOn) afterCause(c cause, method string) bool {
	switch endings[c].again {
	case againTimeout:
		return on.timeout && on.repeats(method)
	case againReset:
		return on.reset && on.repeats(method)
	}
	return false
}

// afterStatus reports whether a request is tried again that was answered with this status.
func (on *retryOn) afterStatus(status int, method string) bool {
	return on != nil && status >= 0 && status < len(on.status) && on.status[status] && on.repeats(method)
}

// repeats reports whether a request of this method may be sent to a second backend after a first one had it.
func (on *retryOn) repeats(method string) bool { return on.nonIdempotent || h1.IsIdempotent(method) }
