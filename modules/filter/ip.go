package filter

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
)

func init() {
	caddy.RegisterModule(new(IP))
}

// IP refuses requests by the address that they come from, before anything else is done about them. An address that is denied is refused;
// where something is allowed, any other address is refused, too, and so is a request without an address (from a Unix socket, say).
// IPv4 addresses written as IPv6 ones count as IPv4, and zones do not count.
//
// Files are looked at every second, and read when they changed and stayed so until the next look. While one is no good, what it said
// last holds.
type IP struct {
	// Allow are the addresses that are let through. Default: all.
	Allow *AddressList `json:"allow,omitempty"`

	// Deny are the addresses that are refused, allowed or not. Default: none.
	Deny *AddressList `json:"deny,omitempty"`

	// Status is what the refused are answered, from 400 to 599. Default: 403.
	Status int `json:"status,omitempty"`

	// By says which address counts: "client_ip", which with trusted_proxies is the client's behind the proxies, or "remote_ip", that at
	// the other end of the connection. Default: client_ip.
	By string `json:"by,omitempty"`

	lists    atomic.Pointer[addressLists]
	interval time.Duration // at which files are looked at
	stop     context.CancelFunc
	watching sync.WaitGroup
}

// addressLists is what holds at a time.
type addressLists struct{ allow, deny prefixSet }

// The values of IP.By.
const (
	byClientIP = "client_ip"
	byRemoteIP = "remote_ip"
)

const lookAtFiles = time.Second

// CaddyModule returns the Caddy module information.
func (*IP) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.lb_proxy.filters.ip", New: func() caddy.Module { return new(IP) }}
}

// Provision reads the lists, and begins to watch the files if there are any.
func (f *IP) Provision(ctx caddy.Context) error {
	if f.Status == 0 {
		f.Status = http.StatusForbidden
	}
	if f.By == "" {
		f.By = byClientIP
	}
	if f.interval == 0 {
		f.interval = lookAtFiles
	}
	allow, err := f.Allow.open()
	if err != nil {
		return fmt.Errorf("ip: allow: %w", err)
	}
	deny, err := f.Deny.open()
	if err != nil {
		return fmt.Errorf("ip: deny: %w", err)
	}
	f.lists.Store(&addressLists{allow.set(), deny.set()})
	if len(allow.files)+len(deny.files) > 0 {
		var until context.Context
		until, f.stop = context.WithCancel(ctx)
		logger := ctx.Logger()
		f.watching.Go(func() { f.watch(until, allow, deny, logger) })
	}
	return nil
}

// watch publishes what changes in the files.
func (f *IP) watch(until context.Context, allow, deny *addressSource, logger *zap.Logger) {
	ticker := time.NewTicker(f.interval)
	defer ticker.Stop()
	for {
		select {
		case <-until.Done():
			return
		case <-ticker.C:
		}
		next := *f.lists.Load()
		if allow.refresh(logger) {
			next.allow = allow.set()
		}
		if deny.refresh(logger) {
			next.deny = deny.set()
		}
		f.lists.Store(&next)
	}
}

// Cleanup ends the watch.
func (f *IP) Cleanup() error {
	if f.stop != nil {
		f.stop()
		f.watching.Wait()
	}
	return nil
}

// Validate implements [caddy.Validator].
func (f *IP) Validate() error {
	if f.Allow == nil && f.Deny == nil {
		return errors.New("ip refuses nobody: give it allow or deny")
	}
	if f.Status < 400 || f.Status > 599 {
		return fmt.Errorf("ip: status is %d: it has to be from 400 to 599", f.Status)
	}
	if f.By != byClientIP && f.By != byRemoteIP {
		return fmt.Errorf("ip: by is '%s': it has to be client_ip or remote_ip", f.By)
	}
	return nil
}

// EarlyRequest implements [EarlyRequestFilter].
func (f *IP) EarlyRequest(x *Context) error {
	r := x.Request
	if r.TLS != nil && !r.TLS.HandshakeComplete {
		// In the 0-RTT data of QUIC the address may be anybody's (RFC 8470, section 5.2); Caddy's matchers do the same.
		return caddyhttp.Error(http.StatusTooEarly, errors.New("the client's address is not verified yet"))
	}
	ip := clientAddress(r)
	if f.By == byRemoteIP {
		ip = remoteAddress(r)
	}
	lists := f.lists.Load()
	if lists.deny.contains(ip) || f.Allow != nil && !lists.allow.contains(ip) {
		return caddyhttp.Error(f.Status, fmt.Errorf("the address %s is not let through", ip))
	}
	return nil
}

// Interface guards
var (
	_ EarlyRequestFilter = (*IP)(nil)
	_ caddy.Provisioner  = (*IP)(nil)
	_ caddy.Validator    = (*IP)(nil)
	_ caddy.CleanerUpper = (*IP)(nil)
)
