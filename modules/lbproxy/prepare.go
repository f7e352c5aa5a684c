package lbproxy

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"golang.org/x/net/http/httpguts"

	"github.com/caddylb/caddy-lb/internal/tunnel"
)

// newExchange begins a request's way through the handler.
func (h *Handler) newExchange(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) *exchange {
	ex := &exchange{
		h: h, w: w, in: r, next: next, base: h.pool, pool: h.pool, ways: h.ways,
		repl:    r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer),
		started: time.Now(),
	}
	ex.first.Context, ex.first.ex = r.Context(), ex
	ex.pick.HTTP, ex.pick.Writer, ex.pick.Replacer = r, w, ex.repl
	ex.publishPlaceholders()
	return ex
}

// prepare does what is needed once for a request, whatever backends it is given to.
func (ex *exchange) prepare() *failure {
	ex.pick.Key = ex.pool.Key(ex.in, ex.repl)
	if ex.isPlain() && ex.editHeader() {
		return nil
	}
	return ex.prepareCopy()
}

// prepareCopy makes a copy of the request that may be changed, without what concerns only the client's connection, and with
// what a proxy adds.
func (ex *exchange) prepareCopy() *failure {
	h := ex.h
	if f := ex.unfit(); f != nil {
		return f
	}
	ex.copyRequest()
	if h.Rewrite != nil && h.Rewrite.Rewrite(ex.out, ex.repl) && (h.Rewrite.Method == http.MethodGet || h.Rewrite.Method == http.MethodHead) {
		ex.out.ContentLength, ex.out.Body = 0, nil
	}
	if f := ex.takeTunnel(); f != nil {
		return f
	}
	if f := ex.prepareBody(); f != nil {
		return f
	}
	ex.prepareHeader()
	ex.upgradeTunnel()
	ex.header = ex.out.Header
	return nil
}

// copyRequest makes the copy. Its URL has neither scheme nor host: a target in absolute form must not choose
// where the request goes.
func (ex *exchange) copyRequest() {
	ex.out = ex.in.WithContext(&ex.first)
	ex.url = *ex.in.URL
	ex.url.Scheme, ex.url.Host, ex.url.User = "", "", nil
	ex.url.RawQuery = strings.ReplaceAll(ex.url.RawQuery, "#", "%23") // as the engine writes it
	ex.out.URL = &ex.url
	ex.out.Header = cloneHeader(ex.in.Header, addedFields)
	if ex.in.ProtoMajor > 1 {
		trimValues(ex.out.Header)
	}
	ex.out.Trailer = nil
	ex.out.Close = false
}

// addedFields is about how many fields a proxy adds to a request.
const addedFields = 6

// cloneHeader copies a header, with room for more fields. Fields without values, by which handlers keep a field
// from being set, stay without.
func cloneHeader(header http.Header, room int) http.Header {
	n := 0
	for _, values := range header {
		n += len(values)
	}
	all := make([]string, 0, n)
	clone := make(http.Header, len(header)+room)
	for field, values := range header {
		if values == nil {
			clone[field] = nil
			continue
		}
		from := len(all)
		all = append(all, values...)
		clone[field] = all[from:len(all):len(all)]
	}
	return clone
}

// prepareHeader removes what belongs to the client's connection and adds what a proxy has to say.
func (ex *exchange) prepareHeader() {
	header := ex.out.Header
	if ex.in.TLS != nil && !ex.in.TLS.HandshakeComplete {
		header["Early-Data"] = []string{"1"} // RFC 8470, section 5.2
	}

	// The TE field is connection-specific and therefore nominated in Connection, but that this proxy passes
	// trailers on is for it to say again (RFC 9110, section 10.1.4).
	trailers := httpguts.HeaderValuesContainsToken(header["Te"], "trailers")
	ex.upgrade = tunnel.Asked(ex.in)
	removeHopByHop(header)
	if !ex.in.ProtoAtLeast(1, 1) {
		delete(header, "Expect") // to be ignored in HTTP/1.0 (RFC 9110, section 10.1.1)
	}
	if trailers {
		header["Te"] = []string{"trailers"}
	}
	if ex.upgrade != "" {
		header["Connection"] = []string{"Upgrade"}
		header["Upgrade"] = []string{ex.upgrade}
	}
	if _, ok := header["User-Agent"]; !ok {
		// An empty value keeps net/http from adding its own, also where Connection nominates the
		// field.
		ex.set(header, "User-Agent", 0, "")
	}
	ex.addForwarded()
	if prior := header["Via"]; len(prior) > 0 {
		header["Via"] = append(prior, viaValue(ex.in.ProtoMajor, ex.in.ProtoMinor))
	} else {
		ex.set(header, "Via", 4, viaValue(ex.in.ProtoMajor, ex.in.ProtoMinor))
	}
}

// set gives a field one value, kept in one of the exchange's slots.
func (ex *exchange) set(header http.Header, field string, slot int, value string) {
	ex.values[slot] = value
	header[field] = ex.values[slot : slot+1 : slot+1]
}

// viaValue is this proxy's member of a Via field for a message received in the given version (RFC 9110,
// section 7.6.3).
func viaValue(major, minor int) string {
	switch {
	case major == 1 && minor == 1:
		return "1.1 Caddy"
	case major == 2 && minor == 0:
		return "2.0 Caddy"
	case major == 3 && minor == 0:
		return "3.0 Caddy"
	default:
		return strconv.Itoa(major) + "." + strconv.Itoa(minor) + " Caddy"
	}
}

// errTunnelProtocol is why an extended CONNECT for anything but a WebSocket is refused: HTTP/1.1,
// which backends are spoken to in, has no tunnel for it (RFC 9220, section 3).
var errTunnelProtocol = errors.New("an extended CONNECT is passed on for WebSockets only")

// takeTunnel recognises a WebSocket that was opened over HTTP/2 or HTTP/3 (RFC 8441, RFC 9220). What looks like
// the request's body is then one half of the tunnel.
func (ex *exchange) takeTunnel() *failure {
	r := ex.in
	if !tunnel.Is(r) {
		if tunnel.Extended(r) != "" {
			return &failure{cause: causeBody, status: http.StatusNotImplemented, err: errTunnelProtocol, final: true}
		}
		return nil
	}
	ex.tunnel = r.Body
	ex.out.Body, ex.out.ContentLength = nil, 0
	ex.out.Method = http.MethodGet
	delete(ex.out.Header, ":protocol")
	return nil
}

// upgradeTunnel asks the backend for the tunnel in the way of HTTP/1.1, which every WebSocket server understands.
func (ex *exchange) upgradeTunnel() {
	if ex.tunnel == nil {
		return
	}
	var key [16]byte
	_, _ = rand.Read(key[:]) // it never fails
	ex.upgrade = tunnel.WebSocket
	header := ex.out.Header
	header["Upgrade"] = []string{tunnel.WebSocket}
	header["Connection"] = []string{"Upgrade"}
	header["Sec-Websocket-Key"] = []string{base64.StdEncoding.EncodeToString(key[:])}
}
