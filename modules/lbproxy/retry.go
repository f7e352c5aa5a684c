package lbproxy

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddylb/caddy-lb/lb"
)

// defaultTryInterval is the wait between tries while try_duration lasts: without one, a request that cannot be
// served would keep a core busy.
const defaultTryInterval = 250 * time.Millisecond

// retryRules say which failed requests are given to a backend again, when the failure was not one to connect.
type retryRules struct {
	retries  int
	duration time.Duration
	interval time.Duration

	// onAnswer are the matchers that look at an answer, onFailure those that look at requests whose try
	// failed without one. A matcher can be among both.
	onAnswer, onFailure caddyhttp.MatcherSets

	on         *retryOn // nil without retry_on
	rounds     bool     // failures to connect, and waits for a backend, are retried
	backoff    backoff  // base 0 without retry_backoff
	tryTimeout time.Duration
	budget     *lb.BudgetLimit // nil without retry_budget

	logger *zap.Logger
}

// provision takes over what is configured and loads the matchers. c may be nil.
func (r *retryRules) provision(ctx caddy.Context, c *LoadBalancing) error {
	r.logger, r.rounds = ctx.Logger(), true
	if c == nil {
		return nil
	}
	r.retries, r.duration, r.interval = c.Retries, time.Duration(c.TryDuration), time.Duration(c.TryInterval)
	if r.duration > 0 && r.interval == 0 {
		r.interval = defaultTryInterval
	}
	loaded, err := ctx.LoadModule(c, "RetryMatchRaw")
	if err != nil {
		return fmt.Errorf("lb_retry_match: %w", err)
	}
	if err := c.RetryMatch.FromInterface(loaded); err != nil {
		return fmt.Errorf("lb_retry_match: %w", err)
	}
	for _, set := range c.RetryMatch {
		answer, failed := looksAt(set)
		if answer {
			r.onAnswer = append(r.onAnswer, set)
		}
		if failed {
			r.onFailure = append(r.onFailure, set)
		}
	}
	return r.provisionOn(c)
}

// provisionOn takes over what reverse_proxy does not have.
func (r *retryRules) provisionOn(c *LoadBalancing) (err error) {
	if err := c.validateRetries(); err != nil {
		return err
	}
	if r.on, err = parseRetryOn(c.RetryOn); err != nil {
		return err
	}
	if r.on != nil && r.retries == 0 && r.duration == 0 {
		r.retries, r.rounds = defaultRetriesOn, r.on.connect
	}
	if b := c.RetryBackoff; b != nil {
		r.backoff = backoff{base: time.Duration(b.Base), max: time.Duration(b.max()), jitter: rand.Int64N}
	}
	if b := c.RetryBudget; b != nil {
		r.budget = &lb.BudgetLimit{Share: b.Percent / 100, MinPerSecond: defaultRetriesPerSecond}
		if b.MinPerSecond != nil {
			r.budget.MinPerSecond = *b.MinPerSecond
		}
	}
	r.tryTimeout = time.Duration(c.TryTimeout)
	return nil
}

// never reports whether no request is tried again, but for failures to connect.
func (r *retryRules) never() bool { return r.retries == 0 && r.duration == 0 }

// left reports whether the configured number and duration of retries leave room for one more.
func (r *retryRules) left(ex *exchange) bool {
	if r.never() {
		return false
	}
	if r.duration > 0 && time.Since(ex.started) >= r.duration {
		return false
	}
	return r.retries == 0 || ex.granted < r.retries
}

// allowsFailed reports whether a request that a backend may have seen part of can be sent again: what is
// configured for failed requests, else GET.
func (r *retryRules) allowsFailed(ex *exchange, c cause) bool {
	method := ex.current.Load().req.Method
	if r.on != nil && r.on.afterCause(c, method) {
		return true
	}
	if len(r.onFailure) == 0 {
		return r.on == nil && method == http.MethodGet
	}
	ex.failedTry = true
	defer func() { ex.failedTry = false }()
	match, err := r.onFailure.AnyMatchWithError(ex.current.Load().req)
	if err != nil {
		r.logger.Error("lb_retry_match failed; not trying again", zap.Error(err))
		return false
	}
	return match
}

// rejects reports whether the answer is one that the configuration wants another one for.
func (r *retryRules) rejects(a *attempt) bool {
	match, err := r.onAnswer.AnyMatchWithError(a.req)
	if err != nil {
		r.logger.Error("lb_retry_match failed; taking the answer", zap.Error(err))
		return false
	}
	return match
}

// Placeholders that exist only once there is an answer, and the one that exists only without.
var (
	answerPlaceholders = []string{
		placeholderPrefix + "status_code",
		placeholderPrefix + "status_text",
		placeholderPrefix + "upstream.latency",
		placeholderPrefix + "upstream.latency_ms",
	}
	failurePlaceholder = placeholderPrefix + "is_transport_error"
)

// looksAt tells what a matcher set is about: an answer when an expression in it reads one; a failed try when it
// reads none, or asks for the failure by name. An expression whose placeholders are known only when it runs is
// about both.
func looksAt(set caddyhttp.MatcherSet) (answer, failed bool) {
	for _, m := range set {
		expr, ok := m.(*caddyhttp.MatchExpression)
		if !ok {
			continue
		}
		for _, name := range expr.Placeholders() {
			switch {
			case name == "":
				answer, failed = true, true
			case name == failurePlaceholder:
				failed = true
			case slices.Contains(answerPlaceholders, name), strings.HasPrefix(name, placeholderPrefix+"header."):
				answer = true
			}
		}
	}
	return answer, failed || !answer
}
