package filter

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddylb/caddy-lb/internal/tunnel"
)

func init() {
	caddy.RegisterModule(new(BodyLimit))
}

// BodyLimit bounds the length of bodies. A request whose Content-Length is above the limit is answered 413 (RFC 9110, section 15.5.14)
// before any of its body is read; one without that field, when its body turns out longer. A backend's answer that says it is longer becomes
// a 502, and one that turns out longer is broken off.
type BodyLimit struct {
	// MaxRequest is the most bytes that the body of a request may have. Default: 0, no limit.
	MaxRequest int64 `json:"max_request,omitempty"`

	// MaxResponse is the most bytes that the body of an answer may have. Default: 0, no limit.
	MaxResponse int64 `json:"max_response,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (*BodyLimit) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.lb_proxy.filters.body_limit", New: func() caddy.Module { return new(BodyLimit) }}
}

// Validate implements [caddy.Validator].
func (f *BodyLimit) Validate() error {
	if f.MaxRequest < 0 || f.MaxResponse < 0 {
		return fmt.Errorf("body_limit: max_request is %d and max_response %d: neither can be below 0", f.MaxRequest, f.MaxResponse)
	}
	if f.MaxRequest == 0 && f.MaxResponse == 0 {
		return errors.New("body_limit limits nothing: give it max_request or max_response")
	}
	return nil
}

// Request implements [RequestFilter].
func (f *BodyLimit) Request(x *Context) (answered bool, err error) {
	if f.MaxRequest > 0 && x.Request.ContentLength > f.MaxRequest {
		return false, caddyhttp.Error(http.StatusRequestEntityTooLarge, &http.MaxBytesError{Limit: f.MaxRequest})
	}
	return false, nil
}

// RequestBody implements [RequestBodyFilter].
func (f *BodyLimit) RequestBody(x *Context, body io.ReadCloser) (io.ReadCloser, error) {
	if f.MaxRequest == 0 || tunnel.Is(x.Request) || x.Request.ContentLength >= 0 && x.Request.ContentLength <= f.MaxRequest {
		return body, nil // the server reads no more than Content-Length
	}
	return &limitedBody{body, f.MaxRequest, &http.MaxBytesError{Limit: f.MaxRequest}}, nil
}

// Response implements [ResponseFilter].
func (f *BodyLimit) Response(x *Context, status int, header http.Header) (int, error) {
	if f.MaxResponse == 0 || !hasBody(x.Request.Method, status) {
		return status, nil
	}
	length, err := strconv.ParseInt(header.Get("Content-Length"), 10, 64)
	if err == nil && length > f.MaxResponse {
		return status, caddyhttp.Error(http.StatusBadGateway, &longAnswerError{f.MaxResponse})
	}
	return status, nil
}

// ResponseBody implements [ResponseBodyFilter].
func (f *BodyLimit) ResponseBody(_ *Context, body io.ReadCloser) (io.ReadCloser, error) {
	if f.MaxResponse == 0 {
		return body, nil
	}
	return &limitedBody{body, f.MaxResponse, &longAnswerError{f.MaxResponse}}, nil
}

// longAnswerError is the failure of a backend's answer that is longer than the limit.
type longAnswerError struct{ limit int64 }

// Error implements error.
func (e *longAnswerError) Error() string {
	return fmt.Sprintf("the backend's answer has more than the %d bytes that body_limit allows", e.limit)
}

// hasBody reports whether the answer of this status to a request with this method has a body (RFC 9110, section 6.4.1).
func hasBody(method string, status int) bool {
	return method != http.MethodHead && status >= 200 && status != http.StatusNoContent && status != http.StatusNotModified
}

// limitedBody is a body that has left more bytes at most. In place of the first one above that it reads the error.
type limitedBody struct {
	io.ReadCloser
	left   int64
	excess error
}

// Read implements io.Reader.
func (b *limitedBody) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, b.excess
	}
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1] // the byte too many shows whether the body ends at the limit
	}
	n, err := b.ReadCloser.Read(p)
	b.left -= int64(n)
	if b.left < 0 {
		return n - 1, b.excess
	}
	return n, err
}

const bodyLimitOptions = "response <size>"

// UnmarshalCaddyfile sets up the filter from Caddyfile tokens. The size without a name is that of requests; one of both is needed.
//
//	body_limit [<size>] {
//		response <size>
//	}
func (f *BodyLimit) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if d.CountRemainingArgs() > 0 {
		if err := sizeArg(d, &f.MaxRequest, "body_limit <size>"); err != nil {
			return err
		}
	}
	err := unmarshalBlock(d, "body_limit", bodyLimitOptions, func(name string) (bool, error) {
		if name != "response" {
			return false, nil
		}
		return true, sizeArg(d, &f.MaxResponse, bodyLimitOptions)
	})
	if err == nil && f.Validate() != nil {
		return d.Errf("body_limit limits nothing: write 'body_limit <size>', or %s in its block", bodyLimitOptions)
	}
	return err
}

// Interface guards
var (
	_ RequestFilter         = (*BodyLimit)(nil)
	_ RequestBodyFilter     = (*BodyLimit)(nil)
	_ ResponseFilter        = (*BodyLimit)(nil)
	_ ResponseBodyFilter    = (*BodyLimit)(nil)
	_ caddy.Validator       = (*BodyLimit)(nil)
	_ caddyfile.Unmarshaler = (*BodyLimit)(nil)
)
