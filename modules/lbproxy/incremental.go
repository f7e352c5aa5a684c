package lbproxy

import (
	"errors"
	"net/http"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/dunglas/httpsfv"
)

// errIncremental is why a message that asks for incremental forwarding (RFC 10036) is refused.
var errIncremental = errors.New("the message asks to be forwarded incrementally, but it has to be buffered here")

// mayHaveContent reports whether a request can carry a body that matters. HTTP/3 gives requests without a body
// an unknown length, so for methods that usually have none an unknown length means none.
func mayHaveContent(r *http.Request) bool {
	if r.ContentLength >= 0 {
		return r.ContentLength > 0
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodDelete, http.MethodTrace, http.MethodConnect:
		return false
	}
	return true
}

// incrementalRefused reports whether the request asks for incremental forwarding and configured buffers, or a
// transport that needs the length, stand against it. Buffers that only the transport asks for are passed by when
// the length is known.
func (ex *exchange) incrementalRefused() bool {
	if !ex.incremental || !mayHaveContent(ex.out) {
		return false
	}
	h := ex.h
	if h.RequestBuffers != 0 || (h.requestBuffers != 0 && !ex.ways.needsLength) {
		return true
	}
	return ex.out.ContentLength < 0 && ex.ways.needsLength
}

// checkIncremental refuses a request that only header operations made incremental, when its body was buffered or
// would have to be.
func (a *attempt) checkIncremental() *failure {
	ex := a.ex
	if ex.incremental || ex.body == nil || !caddyhttp.IsIncremental(a.req.Header) || !mayHaveContent(a.req) {
		return nil
	}
	if ex.h.RequestBuffers != 0 || (a.req.ContentLength < 0 && ex.ways.needsLength) {
		return ex.refuseIncremental(nil)
	}
	return nil
}

// refuseIncremental is the failure of a message that cannot be forwarded incrementally (RFC 10036, section 3).
// upstream is the header of the refused answer, if it is one.
func (ex *exchange) refuseIncremental(upstream http.Header) *failure {
	if value := proxyStatus(ex.h.ProxyStatusName, upstream, "incremental_refused"); value != "" {
		ex.w.Header().Set("Proxy-Status", value)
	}
	return newFailure(causeIncremental, errIncremental)
}

// proxyStatus is a Proxy-Status field (RFC 9209): what upstream has of it, if valid, and a member of this proxy
// with the given error type. Without a name it is empty.
func proxyStatus(name string, upstream http.Header, errorType string) string {
	if name == "" {
		return ""
	}
	list, err := httpsfv.UnmarshalList(upstream.Values("Proxy-Status"))
	if err != nil || !allNames(list) {
		list = nil
	}
	own := httpsfv.NewItem(httpsfv.Token(name))
	own.Params.Add("error", httpsfv.Token(errorType))
	if _, err := httpsfv.Marshal(own); err != nil {
		own.Value = name // no token; a string holds more
	}
	value, err := httpsfv.Marshal(append(list, own))
	if err != nil {
		return ""
	}
	return value
}

// allNames reports whether each member of a Proxy-Status field is a token or a string, as it has to be.
func allNames(list httpsfv.List) bool {
	for _, member := range list {
		item, ok := member.(httpsfv.Item)
		if !ok {
			return false
		}
		switch item.Value.(type) {
		case string, httpsfv.Token:
		default:
			return false
		}
	}
	return true
}
