package lbproxy

import (
	"errors"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
)

// refusalsEvery is how often a pool tells at most that requests are refused for want of a place.
const refusalsEvery = 10 * time.Second

// refusals sums up the requests that a pool refused for want of a place: under overload there are
// many, and that they are refused is what the operator asked for. Safe for concurrent use.
type refusals struct {
	telling   atomic.Bool                // a line was written lately
	connsFull atomic.Uint64              // refused for the bound on connections; the other reasons are in poolState.shed
	told      [numShedReasons + 1]uint64 // guarded by poolState.telling
}

// refused reports whether the request was refused for want of a place.
func (f *failure) refused() bool { return f.shed != nil || f.cause == causeLimit }

// noteRefusal counts a request that is refused, and sees to it that operators hear of it.
func (s *poolState) noteRefusal(f *failure) {
	if f.shed != nil {
		f.shed.Add(1)
	} else {
		s.refusals.connsFull.Add(1)
	}
	if !s.refusals.telling.Load() && s.refusals.telling.CompareAndSwap(false, true) {
		s.tellRefusals()
	}
}

// tellRefusals writes one line now, and one after each [refusalsEvery] in which requests were
// refused.
func (s *poolState) tellRefusals() {
	if s.logRefusals() {
		time.AfterFunc(refusalsEvery, s.tellRefusals)
		return
	}
	s.refusals.telling.Store(false)
	if s.hasRefused() && s.refusals.telling.CompareAndSwap(false, true) { // just now
		s.tellRefusals()
	}
}

// totals are the requests refused in all, by reason.
func (s *poolState) totals() (n [numShedReasons + 1]uint64) {
	for i := range s.shed {
		n[i] = s.shed[i].Load()
	}
	n[numShedReasons] = s.refusals.connsFull.Load()
	return n
}

// hasRefused reports whether requests were refused of which operators were not told.
func (s *poolState) hasRefused() bool {
	s.telling.Lock()
	defer s.telling.Unlock()
	return s.teller.Load() != nil && s.totals() != s.refusals.told
}

// logRefusals tells of the requests that were refused since the last line, if there are any.
func (s *poolState) logRefusals() bool {
	s.telling.Lock()
	defer s.telling.Unlock()
	p, now := s.teller.Load(), s.totals()
	if p == nil || now == s.refusals.told {
		return false
	}
	names := append(shedReasons[:len(shedReasons):len(shedReasons)], "connections")
	var sum uint64
	var fields []zap.Field
	for i, name := range names {
		if n := now[i] - s.refusals.told[i]; n > 0 {
			sum += n
			fields = append(fields, zap.Uint64(name, n))
		}
	}
	s.refusals.told = now
	p.log.Warn("requests are refused for want of a place", append(fields, zap.Uint64("refused", sum), zap.Int("queued", s.queue.Len()))...)
	return true
}

// settle ends a request that failed. Caddy logs each error of 5xx that no route handles at the
// error level. A request that was refused for want of a place is answered here instead, unless a
// route wants to see the error, and told of in sum.
func (h *Handler) settle(w http.ResponseWriter, r *http.Request, err error) error {
	var f *failure
	if !errors.As(err, &f) || !f.refused() || h.hasErrorRoutes(r) {
		return err
	}
	status := f.status
	var known caddyhttp.HandlerError
	if errors.As(err, &known) {
		status = known.StatusCode
	}
	r = (*caddyhttp.HTTPErrorConfig)(nil).WithError(r, err) // for the access log
	if c := h.logger.Check(zap.DebugLevel, "request refused"); c != nil {
		c.Write(zap.Error(f), zap.Int("status", status), zap.Object("request", caddyhttp.LoggableHTTPRequest{Request: r}))
	}
	w.WriteHeader(status)
	return nil
}

// hasErrorRoutes reports whether there are routes for errors around the handler, or of the server.
func (h *Handler) hasErrorRoutes(r *http.Request) bool {
	if h.errorRoutes {
		return true
	}
	s, ok := r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	return ok && s.Errors != nil && len(s.Errors.Routes) > 0
}

// withinErrorRoutes reports whether a subroute that has routes for errors is around the module that
// is being provisioned.
func withinErrorRoutes(ctx caddy.Context) bool {
	for _, m := range ctx.Modules() {
		if s, ok := m.(*caddyhttp.Subroute); ok && s.Errors != nil && len(s.Errors.Routes) > 0 {
			return true
		}
	}
	return false
}
