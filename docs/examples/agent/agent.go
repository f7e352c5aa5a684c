// Package agent is a health check: it asks an agent beside the backend, as HAProxy's agent-check does. The agent accepts a connection and
// says in one line how the backend is: "up", "ready", "down", "drain" and so on.
package agent

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddylb/caddy-lb/modules/healthcheck"
)

func init() { caddy.RegisterModule(new(Agent)) }

// Agent passes when the agent's line begins with "up" or "ready". The agent's port is the option port that every check has.
type Agent struct {
	// Send is said first, for agents that wait for it. Default: nothing.
	Send string `json:"send,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (*Agent) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: healthcheck.Namespace + ".agent", New: func() caddy.Module { return new(Agent) }}
}

// Check looks once. Its error is the reason that users read in the log. Whatever it waits for has to end when ctx does.
func (a *Agent) Check(ctx context.Context, t healthcheck.Target) error {
	conn, err := new(net.Dialer).DialContext(ctx, t.Address.Network, t.Address.Dial())
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if _, err := io.WriteString(conn, a.Send); err != nil {
		return err
	}
	line, err := bufio.NewReader(io.LimitReader(conn, 256)).ReadString('\n')
	if err != nil {
		return fmt.Errorf("no line from the agent: %w", err)
	}
	line = strings.TrimSpace(line)
	switch word, _, _ := strings.Cut(line, " "); word {
	case "up", "ready":
		return nil
	}
	return fmt.Errorf("the agent says %q", line)
}

// UnmarshalCaddyfile reads: health_check agent [<send>]. Options that every check has never get here.
func (a *Agent) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the kind
	if d.NextArg() {
		a.Send = d.Val()
	}
	if d.NextArg() || d.NextBlock(0) {
		return d.ArgErr()
	}
	return nil
}

// Interface guards
var (
	_ healthcheck.Checker   = (*Agent)(nil)
	_ caddyfile.Unmarshaler = (*Agent)(nil)
)
