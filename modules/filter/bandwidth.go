package filter

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	xrate "golang.org/x/time/rate"

	"github.com/caddylb/caddy-lb/internal/module"
	"github.com/caddylb/caddy-lb/internal/tunnel"
)

func init() {
	caddy.RegisterModule(new(Bandwidth))
}

// Bandwidth slows bodies down to a rate: a token bucket of bytes for each direction. Headers are not counted, and connections that were
// upgraded, WebSockets among them, have no bodies. What a body waits for ends with its request.
type Bandwidth struct {
	// Upload is the rate of requests' bodies in bytes per second. Default: 0, no limit.
	Upload int64 `json:"upload,omitempty"`

	// Download is the rate of answers' bodies in bytes per second. Default: 0, no limit.
	Download int64 `json:"download,omitempty"`

	// Per is who has the rate: each "request", each "client" with all of its requests together, or "filter" for all requests of
	// this filter. Clients are told apart by address, IPv6 ones by the network of 64 bits, since that is what one client gets. Some 65,000
	// clients are remembered; beyond that those not seen for longest start anew. Default: request.
	Per string `json:"per,omitempty"`

	// Burst is how many bytes may pass at once after a pause. Default: those of one second.
	Burst int64 `json:"burst,omitempty"`

	all     flows // per filter
	clients *recent[netip.Prefix, flows]
}

// The values of Bandwidth.Per.
const (
	perRequest = "request"
	perClient  = "client"
	perFilter  = "filter"
)

// rememberedClients bounds the memory of the buckets of clients, at some 300 bytes each.
const rememberedClients = 1 << 16

// flows is a bucket for each direction; nil for no limit.
type flows struct{ up, down *xrate.Limiter }

// CaddyModule returns the Caddy module information.
func (*Bandwidth) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.lb_proxy.filters.bandwidth", New: func() caddy.Module { return new(Bandwidth) }}
}

// Provision implements [caddy.Provisioner].
func (f *Bandwidth) Provision(caddy.Context) error {
	if f.Per == "" {
		f.Per = perRequest
	}
	f.all = f.newFlows()
	f.clients = newRecent[netip.Prefix](rememberedClients, f.newFlows)
	return nil
}

func (f *Bandwidth) newFlows() flows {
	return flows{up: newBucket(f.Upload, f.Burst), down: newBucket(f.Download, f.Burst)}
}

func newBucket(perSecond, burst int64) *xrate.Limiter {
	if perSecond == 0 {
		return nil
	}
	if burst == 0 {
		burst = perSecond
	}
	return xrate.NewLimiter(xrate.Limit(perSecond), int(burst))
}

// Validate implements [caddy.Validator].
func (f *Bandwidth) Validate() error {
	if f.Upload < 0 || f.Download < 0 || f.Burst < 0 {
		return fmt.Errorf("bandwidth: upload is %d, download %d and burst %d: none can be below 0", f.Upload, f.Download, f.Burst)
	}
	if f.Upload == 0 && f.Download == 0 {
		return errors.New("bandwidth limits nothing: give it upload or download")
	}
	if !slices.Contains([]string{perRequest, perClient, perFilter}, f.Per) {
		return fmt.Errorf("bandwidth: per is '%s': it has to be client, request or filter", f.Per)
	}
	return nil
}

// RequestBody implements [RequestBodyFilter].
func (f *Bandwidth) RequestBody(x *Context, body io.ReadCloser) (io.ReadCloser, error) {
	if f.Upload == 0 || tunnel.Is(x.Request) {
		return body, nil
	}
	return slow(x, body, f.flows(x).up), nil
}

// ResponseBody implements [ResponseBodyFilter].
func (f *Bandwidth) ResponseBody(x *Context, body io.ReadCloser) (io.ReadCloser, error) {
	if f.Download == 0 {
		return body, nil
	}
	return slow(x, body, f.flows(x).down), nil
}

// flows are the buckets that a request draws from.
func (f *Bandwidth) flows(x *Context) flows {
	switch f.Per {
	case perFilter:
		return f.all
	case perClient:
		return f.clients.get(clientNetwork(clientAddress(x.Request)))
	}
	return f.newFlows()
}

// clientNetwork is what one client has addresses in.
func clientNetwork(ip netip.Addr) netip.Prefix {
	if ip.Is6() {
		network, _ := ip.Prefix(clientNetworkBits)
		return network
	}
	return netip.PrefixFrom(ip, ip.BitLen())
}

// slowBody is a body that draws from a bucket what it reads.
type slowBody struct {
	io.ReadCloser
	ctx    context.Context // of the request
	bucket *xrate.Limiter
	least  int
}

func slow(x *Context, body io.ReadCloser, bucket *xrate.Limiter) io.ReadCloser {
	// A twentieth of a second is worth waiting for: less would wake up often, and more would make the flow jerky.
	least := min(max(int(bucket.Limit()/20), 1), bucket.Burst())
	return &slowBody{body, x.Request.Context(), bucket, least}
}

// Read implements io.Reader. It reads what may pass at once, or a little that has to wait.
func (b *slowBody) Read(p []byte) (int, error) {
	portion := min(max(int(b.bucket.Tokens()), b.least), b.bucket.Burst())
	n, err := b.ReadCloser.Read(p[:min(len(p), portion)])
	if n == 0 {
		return 0, err
	}
	if err := b.bucket.WaitN(b.ctx, n); err != nil {
		return 0, err
	}
	return n, err
}

const bandwidthOptions = "upload <size>/s, download <size>/s, per client|request|filter or burst <size>"

// UnmarshalCaddyfile sets up the filter from Caddyfile tokens:
//
//	bandwidth {
//		upload   <size>/s
//		download <size>/s
//		per      client|request|filter
//		burst    <size>
//	}
func (f *Bandwidth) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if err := module.NoMore(d, "bandwidth { … }"); err != nil {
		return err
	}
	err := unmarshalBlock(d, "bandwidth", bandwidthOptions, func(name string) (bool, error) {
		switch name {
		case "upload":
			return true, rateArg(d, &f.Upload, "upload <size>/s")
		case "download":
			return true, rateArg(d, &f.Download, "download <size>/s")
		case "per":
			return true, f.unmarshalPer(d)
		case "burst":
			return true, sizeArg(d, &f.Burst, "burst <size>")
		}
		return false, nil
	})
	if err == nil && f.Upload == 0 && f.Download == 0 {
		return d.Err("bandwidth limits nothing: write 'upload <size>/s' or 'download <size>/s' in its block")
	}
	return err
}

func (f *Bandwidth) unmarshalPer(d *caddyfile.Dispenser) error {
	if err := once(d, f.Per != ""); err != nil {
		return err
	}
	per, err := module.OneArg(d, "per client|request|filter")
	if err != nil {
		return err
	}
	if !slices.Contains([]string{perRequest, perClient, perFilter}, per) {
		return d.Errf("'%s' is nothing that has a bandwidth: write 'per client|request|filter'", per)
	}
	f.Per = per
	return nil
}

// rateArg parses the single argument of the option that d stands on as bytes per second.
func rateArg(d *caddyfile.Dispenser, bytes *int64, usage string) error {
	if err := once(d, *bytes != 0); err != nil {
		return err
	}
	text, err := module.OneArg(d, usage)
	if err != nil {
		return err
	}
	size, perSecond := strings.CutSuffix(text, "/s")
	n, ok := parseSize(size)
	if !ok || !perSecond {
		return d.Errf("'%s' is no rate above 0: write '%s', such as 500KB/s or 2MiB/s", text, usage)
	}
	*bytes = n
	return nil
}

// Interface guards
var (
	_ RequestBodyFilter     = (*Bandwidth)(nil)
	_ ResponseBodyFilter    = (*Bandwidth)(nil)
	_ caddy.Provisioner     = (*Bandwidth)(nil)
	_ caddy.Validator       = (*Bandwidth)(nil)
	_ caddyfile.Unmarshaler = (*Bandwidth)(nil)
)
