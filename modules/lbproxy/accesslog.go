package lbproxy

import (
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// accessLogField is the name of what this handler adds to an entry of Caddy's access log.
const accessLogField = "lb_proxy"

// logAccess adds what became of the request to the server's access log, if it writes one. It is put into words only when the entry is.
func (ex *exchange) logAccess() {
	ctx := ex.in.Context()
	server, _ := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if server == nil || server.Logs == nil {
		return
	}
	if extra, ok := ctx.Value(caddyhttp.ExtraLogFieldsCtxKey).(*caddyhttp.ExtraLogFields); ok {
		extra.Set(zap.Object(accessLogField, ex))
	}
}

// MarshalLogObject implements [zapcore.ObjectMarshaler].
func (ex *exchange) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	enc.AddString("pool", ex.pool.Name())
	if a := ex.current.Load(); a != nil {
		enc.AddString("backend", a.dial.Address)
		if a.answered.Load() {
			enc.AddDuration("first_byte", a.try.Latency)
		}
	}
	enc.AddInt("tries", ex.tries)
	enc.AddInt("retries", ex.again)
	if how := ex.hedgedBy(); how != "" {
		enc.AddString("hedged", how)
	}
	if ex.queued > 0 {
		enc.AddDuration("queued", ex.queued)
	}
	if ex.tries > 1 {
		if err := enc.AddArray("attempts", attempts{ex.latest}); err != nil {
			return err
		}
	}
	enc.AddDuration("total", time.Duration(ex.took.Load()))
	return nil
}

// attempts are the tries of a request, given the latest.
type attempts struct{ latest *attempt }

// MarshalLogArray implements [zapcore.ArrayMarshaler]. The first try comes first.
func (t attempts) MarshalLogArray(enc zapcore.ArrayEncoder) error {
	var all []*attempt
	for a := t.latest; a != nil; a = a.before {
		all = append(all, a)
	}
	for i := len(all) - 1; i >= 0; i-- {
		if err := enc.AppendObject(all[i]); err != nil {
			return err
		}
	}
	return nil
}

// MarshalLogObject implements [zapcore.ObjectMarshaler].
func (a *attempt) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	enc.AddString("backend", a.dial.Address)
	if a.try.Status != 0 {
		enc.AddInt("status", a.try.Status)
	}
	if a.try.Cause != causeNone {
		enc.AddString("cause", a.try.Cause.String())
	}
	enc.AddDuration("duration", a.try.Latency)
	return nil
}
