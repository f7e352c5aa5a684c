package lbproxy

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/quic-go/quic-go/http3"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/net/http/httpguts"
)

// respond gives the attempt's answer to the client, or to the handle_response route that matches it.
func (ex *exchange) respond(a *attempt) error {
	incremental := caddyhttp.IsIncremental(a.res.Header)
	if ex.h.answerBuffers != 0 && !incremental && a.res.StatusCode != http.StatusSwitchingProtocols {
		a.res.Body = bufferAnswer(a.res.Body, ex.h.answerBuffers)
	}
	for i := range ex.h.HandleResponse {
		rh := &ex.h.HandleResponse[i]
		if rh.Match != nil && !rh.Match.Match(a.res.StatusCode, a.res.Header) {
			continue
		}
		if code := rh.StatusCode.String(); code != "" {
			code = ex.repl.ReplaceAll(code, "")
			if code == "0" {
				break // the backend's own
			}
			status, err := statusCode(code)
			if err != nil {
				_ = a.res.Body.Close()
				return caddyhttp.Error(http.StatusInternalServerError, fmt.Errorf("replace_status: %w", err))
			}
			a.res.StatusCode = status
			break
		}
		return ex.handle(a, rh.Routes)
	}
	return ex.deliver(a, incremental)
}

// deliver writes the answer to the client. incremental says that the backend asked for incremental forwarding.
func (ex *exchange) deliver(a *attempt, incremental bool) error {
	res := a.res
	if res.StatusCode == http.StatusSwitchingProtocols {
		return ex.switchProtocols(a)
	}
	header := a.res.Header
	changed := ex.h.Headers != nil && ex.h.Headers.Response != nil
	if changed {
		header = ex.answerHeader(a)
	}
	if ex.h.ResponseBuffers != 0 && hasContent(a.req, res) && (incremental || caddyhttp.IsIncremental(header)) {
		_ = res.Body.Close()
		return ex.fail(ex.refuseIncremental(header))
	}

	out := ex.w.Header()
	if ex.h.filters.ChangesResponse() {
		return ex.deliverFiltered(a,
			func() { ex.setHeader(out, a, header, changed) },
			func() error { return ex.write(a, ex.flushInterval(a, ex.w.Header(), incremental)) })
	}
	ex.setHeader(out, a, header, changed)
	return ex.write(a, ex.flushInterval(a, header, incremental))
}

// setHeader gives the client's answer its header. end says that what belongs to the backend's connection is gone already.
func (ex *exchange) setHeader(out http.Header, a *attempt, header http.Header, end bool) {
	res := a.res
	delete(out, "Server")
	out["Via"] = append(out["Via"], viaOfAnswer(res))
	if end {
		addAll(out, header)
	} else {
		ex.addAnswer(out, res)
	}
	ex.nominateUpgrade(out)
	ex.trimTrailer(res)
	if len(res.Trailer) > 0 {
		out.Add("Trailer", strings.Join(slices.Sorted(maps.Keys(res.Trailer)), ", "))
		if ex.needsChunks() {
			delete(out, "Content-Length")
		}
	}
}

// write sends the answer, whose header is set.
func (ex *exchange) write(a *attempt, flush time.Duration) error {
	w, res := ex.w, a.res
	announced := len(res.Trailer)
	ex.allowEarlyAnswer()
	leaveUntyped(w.Header())
	w.WriteHeader(res.StatusCode)

	err := copyBody(w, res.Body, flush)
	_ = res.Body.Close() // before the trailers are read: only then they are there
	if err == nil {
		a.noteGRPC()
		ex.trimTrailer(res)
		err = ex.filterTrailers(res.Trailer)
	}
	if err != nil {
		ex.abort(a, err)
	}
	writeTrailers(w, res.Trailer, announced)
	a.streamed.Store(int64(max(time.Since(a.begun), 1)))
	ex.logDelivered(a)
	ex.linger(a)
	return nil
}

// needsChunks reports whether an answer with trailers must not tell its length: in HTTP/1.1 only the chunked framing has
// room for them (RFC 9112, section 7.1.2). A client that does not take trailers gets the length instead.
func (ex *exchange) needsChunks() bool {
	return ex.in.ProtoMajor == 1 && ex.in.ProtoMinor == 1 && ex.in.Method != http.MethodHead &&
		httpguts.HeaderValuesContainsToken(ex.in.Header["Te"], "trailers")
}

// answerHeader is the answer's header as the client gets it where header_down is configured: without what belongs to the backend's connection,
// and with the configured changes. The answer keeps its own, since placeholders go on showing what the backend
// sent.
func (ex *exchange) answerHeader(a *attempt) http.Header {
	ops := ex.h.Headers.Response
	header := make(http.Header, len(a.res.Header)+4)
	ex.addAnswer(header, a.res)
	if ops.Require != nil && !ops.Require.Match(a.res.StatusCode, header) {
		return header
	}
	header = header.Clone() // the values, too
	ops.ApplyTo(header, ex.repl)
	return header
}

// viaOfAnswer is this proxy's member of the answer's Via field. A version of another protocol than HTTP keeps its
// name.
func viaOfAnswer(res *http.Response) string {
	via := viaValue(res.ProtoMajor, res.ProtoMinor)
	if protocol, _, ok := strings.Cut(res.Proto, "/"); ok && !strings.EqualFold(protocol, "HTTP") {
		return protocol + "/" + via
	}
	return via
}

// hasContent reports whether an answer can have a body.
func hasContent(req *http.Request, res *http.Response) bool {
	switch {
	case req.Method == http.MethodHead, res.Body == nil, res.Body == http.NoBody, res.ContentLength == 0:
		return false
	case req.Method == http.MethodConnect && res.StatusCode/100 == 2:
		return false
	case res.StatusCode < 200, res.StatusCode == http.StatusNoContent,
		res.StatusCode == http.StatusResetContent, res.StatusCode == http.StatusNotModified:
		return false
	}
	return true
}

// abort ends an answer that broke off after its header was sent. All that is left is to break the client's
// message, too, so that it is not taken for whole (RFC 9112, section 8).
func (ex *exchange) abort(a *attempt, err error) {
	level := zapcore.WarnLevel
	var writing *writeError
	if h3, ok := errors.AsType[*http3.Error](err); ok && errors.As(err, &writing) && h3.Remote && h3.ErrorCode == http3.ErrCodeRequestCanceled {
		level = zapcore.DebugLevel
	}
	a.try.Cause, a.try.Err = a.classifyAnswer(err), err
	if c := ex.h.logger.Check(level, "aborting with incomplete response"); c != nil {
		c.Write(append(ex.about(a), zap.Error(err))...)
	}
	_ = http.NewResponseController(ex.w).Flush()
	panic(http.ErrAbortHandler)
}
