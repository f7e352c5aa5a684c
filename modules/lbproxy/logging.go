package lbproxy

import (
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// Nothing here costs more than a comparison while the debug level is off.

func (ex *exchange) logSelected(a *attempt) {
	if c := ex.h.logger.Check(zapcore.DebugLevel, "selected upstream"); c != nil {
		c.Write(zap.String("dial", a.dial.Address), zap.Int("try", ex.tries),
			zap.Int("total_upstreams", len(ex.snapshot().Members)))
	}
}

// logRoundTrip logs what a round trip came to.
func (ex *exchange) logRoundTrip(a *attempt, err error) {
	c := ex.h.logger.Check(zapcore.DebugLevel, "upstream roundtrip")
	if c == nil {
		return
	}
	server, _ := ex.in.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	credentials := server != nil && server.Logs != nil && server.Logs.ShouldLogCredentials
	fields := append(ex.about(a), zap.Object("request", caddyhttp.LoggableHTTPRequest{Request: a.req, ShouldLogCredentials: credentials}))
	if err != nil {
		c.Write(append(fields, zap.String("cause", a.try.Cause.String()), zap.Error(err))...)
		return
	}
	c.Write(append(fields,
		zap.Object("headers", caddyhttp.LoggableHTTPHeader{Header: a.res.Header, ShouldLogCredentials: credentials}),
		zap.Int("status", a.try.Status))...)
}

// logRetry logs that a request is given to a backend again, if verbose logs are asked for.
func (ex *exchange) logRetry(f *failure) {
	if !ex.h.VerboseLogs {
		return
	}
	if c := ex.h.logger.Check(zapcore.DebugLevel, "retrying"); c != nil {
		c.Write(zap.String("pool", ex.pool.Name()), zap.Int("retries", ex.again), zap.Error(f))
	}
}

// logDelivered logs that an answer is complete, if verbose logs are asked for.
func (ex *exchange) logDelivered(a *attempt) {
	if !ex.h.VerboseLogs {
		return
	}
	if c := ex.h.logger.Check(zapcore.DebugLevel, "response finalized"); c != nil {
		c.Write(append(ex.about(a), zap.Int("status", a.res.StatusCode))...)
	}
}

// about names the exchange in a log entry.
func (ex *exchange) about(a *attempt) []zap.Field {
	return []zap.Field{
		zap.String("pool", ex.pool.Name()),
		zap.String("upstream", a.dial.Address),
		zap.Duration("duration", a.try.Latency),
	}
}
