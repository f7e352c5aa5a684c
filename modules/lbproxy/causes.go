package lbproxy

import (
	"net/http"

	"github.com/caddylb/caddy-lb/internal/outlier"
)

// cause says why a try, or a request, ended without a good answer.
type cause int

// The causes, in the order of codes in metrics and logs.
const (
	causeNone cause = iota // it did not fail

	causeConnect  // no connection, or no TLS session; nothing of the request was sent
	causeTimeout  // a time limit passed before the answer
	causeBroken   // the connection broke, before or within the answer
	causeProtocol // the answer was not valid HTTP, or exceeds a limit

	causeCanceled // the client went away
	causeRequest  // the client's request cannot be sent
	causeHeader   // the client's header is larger than the backend takes
	causeBody     // the client's body is malformed
	causeTooLarge // the client's body is larger than is allowed
	causeSlow     // the client's body did not come in time
	causeNamed    // no connection to an address, or under a server name, that the request chose

	causeConfig      // the configuration made of the request one that cannot be sent
	causeFilter      // a filter failed
	causeIncremental // a message would have to be buffered that asks not to be
	causeLimit       // a limit of the pool on connections

	causeOpen        // the try ended while the client kept a body of unknown length open
	causeHedged      // another backend answered first
	causeUnavailable // no backend could be picked; no try has this cause

	numCauses
)

// party is whose doing the end of a request was. Only a backend's counts against it.
type party string

// The parties.
const (
	byBackend party = "backend"
	byClient  party = "client"
	byProxy   party = "proxy" // this proxy, or its configuration
	byNobody  party = "nobody"
)

// again says when a request that ended so is given to a backend again.
type again string

// What may be done again.
const (
	againNever   again = "never"
	againNext    again = "at once" // by the next backend: this one was sent nothing
	againTimeout again = "timeout" // the condition of retry_on; without that, what lb_retry_match says
	againReset   again = "reset"   // the same
	againWaits   again = "waits"   // once a backend is available
)

// weighing is what a try that ended so says in the latency average of its backend.
type weighing int

// The weighings.
const (
	weighNothing weighing = iota
	weighPenalty          // it failed
	weighAtLeast          // the answer would have taken longer than that
)

// ending is what follows from a cause. docs/proxy.md has the same table.
type ending struct {
	name   string // in metrics and logs
	status int    // for the client; 0 where it never is the request's end
	by     party
	again  again

	kind    outlier.Kind // of failure of the backend
	latency weighing
}

var endings = [numCauses]ending{
	causeNone: {},

	causeConnect:  {"connect", http.StatusBadGateway, byBackend, againNext, outlier.ConnectFailure, weighPenalty},
	causeTimeout:  {"timeout", http.StatusGatewayTimeout, byBackend, againTimeout, outlier.GatewayError, weighPenalty},
	causeBroken:   {"broken", http.StatusBadGateway, byBackend, againReset, outlier.GatewayError, weighPenalty},
	causeProtocol: {"protocol", http.StatusBadGateway, byBackend, againReset, outlier.GatewayError, weighPenalty},

	causeCanceled: {"canceled", statusClientGone, byClient, againNever, outlier.Ignored, weighNothing},
	causeRequest:  {"request", http.StatusBadRequest, byClient, againNever, outlier.Ignored, weighNothing},
	causeHeader:   {"header", http.StatusRequestHeaderFieldsTooLarge, byClient, againNever, outlier.Ignored, weighNothing},
	causeBody:     {"body", http.StatusBadRequest, byClient, againNever, outlier.Ignored, weighNothing},
	causeTooLarge: {"too_large", http.StatusRequestEntityTooLarge, byClient, againNever, outlier.Ignored, weighNothing},
	causeSlow:     {"slow", http.StatusRequestTimeout, byClient, againNever, outlier.Ignored, weighNothing},
	causeNamed:    {"named", http.StatusBadGateway, byClient, againNext, outlier.Ignored, weighNothing},

	causeConfig:      {"config", http.StatusBadGateway, byProxy, againNever, outlier.Ignored, weighNothing},
	causeFilter:      {"filter", http.StatusInternalServerError, byProxy, againNever, outlier.Ignored, weighNothing},
	causeIncremental: {"incremental", http.StatusNotImplemented, byProxy, againNever, outlier.Ignored, weighNothing},
	causeLimit:       {"limit", http.StatusServiceUnavailable, byProxy, againNext, outlier.Ignored, weighNothing},

	causeOpen:        {"open", http.StatusBadGateway, byNobody, againReset, outlier.Ignored, weighNothing},
	causeHedged:      {"hedged", 0, byNobody, againNever, outlier.Ignored, weighAtLeast},
	causeUnavailable: {"unavailable", http.StatusServiceUnavailable, byNobody, againWaits, outlier.Ignored, weighNothing},
}

func (c cause) String() string { return endings[c].name }

// blames reports whether the cause is the backend's doing.
func (c cause) blames() bool { return endings[c].by == byBackend }

// unsent reports whether the backend was sent nothing of the request, so that the next one is asked
// whatever the method.
func (c cause) unsent() bool { return endings[c].again == againNext }
