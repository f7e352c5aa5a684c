package lbproxy

import (
	"encoding/json"
	"errors"
	"maps"
	"net"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddylb/caddy-lb/lb"
	"github.com/caddylb/caddy-lb/modules/filter"
)

// provisionFilters loads the filters and sorts them into phases.
func (h *Handler) provisionFilters(ctx caddy.Context) error {
	if len(h.FiltersRaw) == 0 {
		return nil
	}
	h.filtersText = h.FiltersRaw
	named := make([]filter.Named, len(h.FiltersRaw))
	for i, raw := range h.FiltersRaw {
		var module struct {
			Filter string `json:"filter"`
		}
		if err := json.Unmarshal(raw, &module); err != nil {
			return err
		}
		named[i].Name = module.Filter
	}
	mods, err := ctx.LoadModule(h, "FiltersRaw")
	if err != nil {
		return err
	}
	h.filterModules = mods.([]any)
	for i, mod := range h.filterModules {
		named[i].Filter = mod
		h.filterDoubts = append(h.filterDoubts, filterDoubts(named[i].Name, mod)...)
	}
	h.filters, err = filter.NewChain(named, time.Duration(h.FilterTimeout))
	return err
}

// filtered is a request on its way through a handler with filters.
type filtered struct {
	filter.Context
	h    *Handler
	next caddyhttp.Handler
	base *pool
}

// UsePool implements [filter.Router].
func (f *filtered) UsePool(name string) error {
	p, err := f.h.app.named(name)
	if err != nil {
		return err
	}
	f.base = p
	return nil
}

// serveFiltered is ServeHTTP for a handler with filters.
func (h *Handler) serveFiltered(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) (err error) {
	f := &filtered{Context: filter.MakeContext(w, r, h.pool.Name(), h.logger), h: h, next: next, base: h.pool}
	f.SetRouter(f)
	x := &f.Context
	panicking := true
	defer func() {
		if panicking {
			err = errPanicked
		}
		h.filters.Logging(x, err)
	}()
	if err = h.filters.EarlyRequest(x); err == nil {
		err = h.filters.Request(x, f)
	}
	if err != nil {
		err = handlerError(h.filters.Failed(x, err))
	}
	panicking = false
	return err
}

var errPanicked = errors.New("the request was broken off")

// Next implements [filter.Next]: the proxying.
func (f *filtered) Next() error {
	h, x := f.h, &f.Context
	var source *tap
	if r := x.Request; r.ContentLength != 0 || len(r.Trailer) > 0 { // Caddy wraps an empty body, too
		if h.filters.ChangesUpstreamRequest() {
			source = &tap{ReadCloser: r.Body}
			r.Body = source
		}
		body, err := h.filters.RequestBody(x, r.Body)
		if err != nil {
			return err
		}
		r.Body = body
	}
	ex := h.newExchange(x.Writer, x.Request, f.next)
	ex.filtered, ex.bodyTap = x, source
	if f.base != h.pool {
		ex.base, ex.pool, ex.ways = f.base, f.base, f.base.ways
	}
	return h.proxy(ex)
}

// handlerError gives an error the status for the client.
func handlerError(err error) error {
	var known caddyhttp.HandlerError
	var filterError *filter.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &filterError):
		return caddyhttp.Error(filterError.StatusCode, err)
	case errors.As(err, &known):
		return err
	}
	return caddyhttp.Error(http.StatusInternalServerError, err)
}

// filterFailure ends a request whose filter failed, wherever it was. It is nil for no error.
func filterFailure(err error) *failure {
	if err == nil {
		return nil
	}
	f := newFailure(causeFilter, err)
	var filterError *filter.Error
	if errors.As(err, &filterError) {
		f.status = filterError.StatusCode
	}
	return f
}

// showTry has filters see the try whose answer was taken.
func (ex *exchange) showTry(a *attempt) {
	if ex.filtered != nil {
		ex.filtered.Member, ex.filtered.Try = a.member, ex.tries
	}
}

// filterSelected tells filters of the backend that was picked.
func (ex *exchange) filterSelected(m *lb.Member) *failure {
	x := ex.filtered
	if x == nil {
		return nil
	}
	x.Member, x.Try, x.Pool = m, ex.tries, ex.pool.Name()
	return filterFailure(ex.h.filters.UpstreamSelected(x))
}

// filterRequest has filters change what is sent.
func (a *attempt) filterRequest() *failure {
	return filterFailure(a.ex.h.filters.UpstreamRequest(a.ex.filtered, a.req))
}

// Connected implements [h1.Connected].
func (a *attempt) Connected(c net.Conn, reused bool) error {
	conn := filter.Connection{Local: c.LocalAddr(), Remote: c.RemoteAddr(), Reused: reused}
	if f := filterFailure(a.ex.h.filters.Connected(a.ex.filtered, conn)); f != nil {
		return f
	}
	return nil
}

// maxTriesByFilter bounds the backends that a request is given to on the word of a filter.
const maxTriesByFilter = 100

// filterConnectFailure lets filters decide about a failure to connect. A final failure is to be the request's.
func (ex *exchange) filterConnectFailure(f *failure) *failure {
	if ex.filtered == nil {
		return f
	}
	verdict, err := ex.h.filters.ConnectFailed(ex.filtered, f)
	if err != nil {
		return filterFailure(err)
	}
	decided := *f
	switch verdict {
	case filter.GiveUp:
		decided.final = true
	case filter.AnotherBackend:
		ex.renew = true
		decided.final = ex.tries >= maxTriesByFilter
		if ex.pick.Tried.Len() >= len(ex.snapshot().Members) && !ex.wait(ex.h.retry.interval) {
			return newFailure(causeCanceled, ex.in.Context().Err())
		}
	}
	return &decided
}

// filterAnswer shows filters the answer as it came.
func (a *attempt) filterAnswer() *failure {
	f := filterFailure(a.ex.h.filters.UpstreamResponse(a.ex.filtered, a.res))
	if f != nil {
		drain(a.res.Body)
	}
	return f
}

// deliverFiltered is the end of deliver with filters in between: setHeader gives the answer its header, write sends it.
func (ex *exchange) deliverFiltered(a *attempt, setHeader func(), write func() error) error {
	x, chain := ex.filtered, ex.h.filters
	header := ex.w.Header()
	before := maps.Clone(header)
	setHeader()
	outer := ex.w
	x.Writer = ex.w
	begun := false
	err := chain.Response(x, a.res.StatusCode, func(status int) error {
		a.answerTap = &tap{ReadCloser: a.res.Body}
		body, err := chain.ResponseBody(x, a.answerTap)
		if err != nil {
			return err
		}
		begun = true
		ex.w, a.res.StatusCode, a.res.Body = x.Writer, status, body
		return write()
	})
	ex.w = outer
	if !begun {
		_ = a.res.Body.Close()
		if err != nil {
			// The backend's header is none for the answer that comes instead.
			clear(header)
			maps.Copy(header, before)
		}
	}
	return handlerError(err)
}

// filterTrailers has filters change trailers.
func (ex *exchange) filterTrailers(trailer http.Header) error {
	if ex.filtered == nil {
		return nil
	}
	return ex.h.filters.Trailers(ex.filtered, trailer)
}
