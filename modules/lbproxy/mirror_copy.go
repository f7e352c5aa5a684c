package lbproxy

import (
	"bytes"
	"context"
	"io"
	"maps"
	"net/http"
	"runtime/debug"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
)

// mirrored is a copy of a request on its way to a mirror. It shares nothing with the request, which may end before it.
type mirrored struct {
	mirror *mirror
	r      *http.Request
	w      *discard
	end    func() // of its context
}

// newMirrored copies a request. The copy ends with the handler, or when it takes too long.
func newMirrored(handler context.Context, m *mirror, in *http.Request, body []byte) *mirrored {
	w := &discard{header: make(http.Header), limit: maxMirroredAnswer}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(in.Context()), mirrorTime)
	stop := context.AfterFunc(handler, cancel)

	r := in.Clone(ctx)
	r.Body, r.GetBody, r.Trailer, r.TransferEncoding = http.NoBody, nil, nil, nil
	r.ContentLength = int64(len(body))
	if len(body) > 0 {
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	delete(r.Header, "Expect") // the body is there

	server, _ := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, server)
	vars := r.Context().Value(caddyhttp.VarsCtxKey).(map[string]any)
	if known, ok := in.Context().Value(caddyhttp.VarsCtxKey).(map[string]any); ok {
		maps.Copy(vars, known)
	}
	delete(vars, placeholdersVar) // they are of the request's own tries
	if original := in.Context().Value(caddyhttp.OriginalRequestCtxKey); original != nil {
		// In place, as placeholders are read from this request. Otherwise the original is what other handlers made of it.
		*r = *r.WithContext(context.WithValue(r.Context(), caddyhttp.OriginalRequestCtxKey, original))
	}
	return &mirrored{mirror: m, r: r, w: w, end: func() { stop(); cancel() }}
}

// send sends the copy and reads its answer.
func (c *mirrored) send() mirrorResult {
	defer c.end()
	c.proxy()
	if c.w.status != 0 && c.w.status != statusClientGone {
		return mirrorAnswered
	}
	return mirrorFailed
}

// proxy is send without what comes of it. An answer that broke off, or was long enough, ends it with a panic.
func (c *mirrored) proxy() {
	h, log := &c.mirror.Handler, c.mirror.log
	defer func() {
		if v := recover(); v != nil && v != http.ErrAbortHandler {
			log.Error("a mirrored request panicked", zap.Any("panic", v), zap.ByteString("stack", debug.Stack()))
		}
	}()
	ex := h.newExchange(c.w, c.r, caddyhttp.HandlerFunc(noNext))
	ex.pick.Aside = true
	if err := h.proxy(ex); err != nil {
		if e := log.Check(zap.DebugLevel, "a mirrored request failed"); e != nil {
			e.Write(zap.String("pool", h.pool.Name()), zap.Error(err))
		}
	}
}

// noNext is what follows a mirror's handler, which answers by itself.
func noNext(w http.ResponseWriter, _ *http.Request) error {
	w.WriteHeader(http.StatusNotFound)
	return nil
}
