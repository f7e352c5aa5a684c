package lbproxy

import (
	"net/textproto"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// placeholderPrefix is what the names of all placeholders of this handler begin with, as in reverse_proxy.
const placeholderPrefix = "http.reverse_proxy."

// placeholdersVar is the request's variable that holds its placeholders.
const placeholdersVar = "lb_proxy.placeholders"

// placeholders evaluates a request's placeholders when they are asked for. There is one for a request, however
// many lb_proxy handlers it passes; the latest comes first.
type placeholders struct{ latest *exchange }

// publishPlaceholders makes the exchange's placeholders known. Values that a reverse_proxy handler left (in
// forward_auth, say) would hide them, so those about a backend go; those about its answer stay until this
// exchange has an answer of its own.
func (ex *exchange) publishPlaceholders() {
	ex.repl.DeleteByPrefix(placeholderPrefix + "upstream.")
	ctx := ex.in.Context()
	if p, ok := caddyhttp.GetVar(ctx, placeholdersVar).(*placeholders); ok {
		ex.prev, p.latest = p.latest, ex
		return
	}
	p := &placeholders{latest: ex}
	caddyhttp.SetVar(ctx, placeholdersVar, p)
	ex.repl.Map(p.get)
}

func (p *placeholders) get(key string) (any, bool) {
	name, ok := strings.CutPrefix(key, placeholderPrefix)
	if !ok {
		return nil, false
	}
	for ex := p.latest; ex != nil; ex = ex.prev {
		if v, ok := ex.placeholder(name); ok {
			return v, true
		}
		if ex.talked.Load() {
			break
		}
	}
	return nil, false
}

// placeholder is the value of one placeholder, if it has one yet.
func (ex *exchange) placeholder(name string) (any, bool) {
	switch name {
	case "pool":
		return ex.pool.Name(), true
	case "is_transport_error":
		return true, ex.failedTry
	case "duration", "duration_ms":
		return duration(ex.took.Load(), name)
	case "retries":
		return ex.again, ex.took.Load() != 0
	case "tries":
		return ex.tries, true
	case "hedged":
		return ex.hedgedBy(), true
	case "queued_ms":
		return ex.queued.Seconds() * 1e3, true
	}
	a := ex.current.Load()
	if a == nil {
		return nil, false
	}
	if rest, ok := strings.CutPrefix(name, "upstream."); ok {
		return a.backendPlaceholder(rest)
	}
	if !a.answered.Load() {
		return nil, false
	}
	switch name {
	case "status_code":
		return a.try.Status, true
	case "status_text":
		return a.res.Status, true
	}
	if field, ok := strings.CutPrefix(name, "header."); ok {
		values, ok := a.res.Header[textproto.CanonicalMIMEHeaderKey(field)]
		return strings.Join(values, ","), ok
	}
	return nil, false
}

// backendPlaceholder is the value of a placeholder about the backend.
func (a *attempt) backendPlaceholder(name string) (any, bool) {
	switch name {
	case "address":
		return a.dial.String(), true
	case "hostport":
		return a.name, true
	case "host":
		return a.host, true
	case "port":
		return a.dial.Port, true
	case "requests":
		return a.member.Active(), true
	case "max_requests":
		return a.member.MaxRequests, true
	case "fails":
		return recentFails(a.member), true
	case "weight":
		return a.member.Weight, true
	case "scheme":
		return a.member.Address().Scheme, true
	case "name":
		return a.member.Name, true
	case "latency", "latency_ms":
		if a.answered.Load() {
			return duration(int64(a.try.Latency), name)
		}
	case "duration", "duration_ms":
		return duration(a.streamed.Load(), name)
	}
	return nil, false
}

// duration is a time as its placeholder gives it: in milliseconds with a fraction, or as Go writes it. A time of
// 0 is not known yet.
func duration(nanos int64, name string) (any, bool) {
	if nanos == 0 {
		return nil, false
	}
	d := time.Duration(nanos)
	if strings.HasSuffix(name, "_ms") {
		return d.Seconds() * 1e3, true
	}
	return d, true
}
