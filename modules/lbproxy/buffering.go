package lbproxy

import (
	"errors"
	"io"
	"net/http"
	"strconv"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// prepareBody decides how the body is sent: not at all, as it comes, or read first.
func (ex *exchange) prepareBody() *failure {
	h, out := ex.h, ex.out
	ex.incremental = caddyhttp.IsIncremental(out.Header)
	if ex.incrementalRefused() {
		return ex.refuseIncremental(nil)
	}
	if ex.incremental && !mayHaveContent(out) {
		out.ContentLength, out.Body = 0, nil
	}
	if out.ContentLength == 0 && len(ex.in.Trailer) == 0 || out.Body == nil || out.Body == http.NoBody {
		out.Body = nil
		if out.ContentLength < 0 {
			out.ContentLength = 0
		}
		out.TransferEncoding = nil
		return nil
	}
	limit := keepBytes
	if h.requestBuffers != 0 {
		limit = int(h.requestBuffers)
	}
	if !ex.ways.needsLength {
		ex.trailer = announcedTrailer(ex.in)
	}
	src := &clientBody{ReadCloser: ex.awaitContinue(out.Body), from: ex.in}
	ex.body = newRequestBody(ex.w, ex.in, src, limit)
	if h.requestBuffers != 0 && !ex.incremental {
		length, complete, err := ex.body.fill()
		if err != nil {
			return ex.bodyFailure(err)
		}
		if complete {
			out.ContentLength = length
			out.Header["Content-Length"] = []string{strconv.FormatInt(length, 10)}
		}
	} else if ex.probablyEmpty() && ex.body.probe(probeTime) {
		out.ContentLength = 0
	}
	if len(ex.trailer) > 0 {
		// Only chunked framing has room for trailers in HTTP/1.1.
		out.ContentLength = -1
		delete(out.Header, "Content-Length")
	}
	if out.ContentLength >= 0 {
		out.TransferEncoding = nil
	}
	if out.ContentLength == 0 {
		ex.body.release(atOnce)
		ex.body, out.Body = nil, nil
	}
	return nil
}

// attachBody gives the attempt a reader of the body, and net/http a way to begin again by itself when an idle
// connection turns out closed.
func (a *attempt) attachBody() {
	ex := a.ex
	var trailer http.Header
	if len(ex.trailer) > 0 {
		trailer = ex.requestTrailer()
		a.req.Trailer = trailer
	}
	a.req.Body = a.bodyReader(trailer)
	a.req.GetBody = func() (io.ReadCloser, error) {
		if !ex.body.reclaim() {
			return nil, errors.New("the request's body cannot be sent again")
		}
		return a.bodyReader(trailer), nil
	}
}

// bodyReader starts the body again for the attempt. The engine waits for no read of it. Transports
// of Caddy's may, and then the read goes on without them where another try may need the body, be it
// one of the transport's own, and where it cannot be ended without the request, as in HTTP/1.
func (a *attempt) bodyReader(trailer http.Header) io.ReadCloser {
	body := a.ex.body
	switch {
	case a.trace == nil:
		return body.reader(trailer)
	case a.ex.in.ProtoMajor == 1:
		return a.trace.guard(body.readerApart(trailer))
	default:
		return a.trace.guard(body.readerKeeping(trailer))
	}
}
