package lbproxy

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddylb/caddy-lb/internal/module"
	"github.com/caddylb/caddy-lb/lb"
)

// writtenAddress is an upstream address as it stands in a Caddyfile.
type writtenAddress struct {
	network, scheme, host, port string
}

// addUpstreams adds the backends that an address stands for: one, or one for each port of a range.
func (p *poolParser) addUpstreams(d *caddyfile.Dispenser, address string) error {
	_, err := p.appendUpstreams(d, address)
	return err
}

func (p *poolParser) appendUpstreams(d *caddyfile.Dispenser, address string) ([]*Upstream, error) {
	p.used = true
	a, err := parseWrittenAddress(address)
	if err != nil {
		return nil, d.Errf("backend %s: %w", address, err)
	}
	dials, err := a.dials()
	if err != nil {
		return nil, d.Errf("backend %s: %w", address, err)
	}
	added := make([]*Upstream, 0, len(dials))
	for _, dial := range dials {
		id := a.scheme + "://" + dial
		if line, dup := p.lines[id]; dup {
			return nil, d.Errf("backend %s is in the pool twice, first at line %d: list it once, with a larger weight", address, line)
		}
		p.lines[id] = d.Line()
		if !strings.ContainsAny(address, ".:/{") {
			p.words[address] = placeOf(d)
		}
		u := &Upstream{Dial: dial}
		p.config.Upstreams = append(p.config.Upstreams, u)
		p.schemes = append(p.schemes, a.scheme)
		added = append(added, u)
	}
	return added, nil
}

// unmarshalBackend parses `backend <address> [<option> <value>...] { … }`.
func (p *poolParser) unmarshalBackend(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) == 0 {
		return d.Errf("backend needs an address: write 'backend <host:port> [weight <n>]'")
	}
	upstreams, err := p.appendUpstreams(d, args[0])
	if err != nil {
		return err
	}
	if i := slices.Index(args, "backup"); i > 0 {
		setBackup(upstreams)
		args = slices.Delete(args, i, i+1)
	}
	if len(args)%2 == 0 {
		return d.Errf("backend %s: %q has no value: write 'weight <n>'", args[0], args[len(args)-1])
	}
	seen := make(map[string]bool)
	for pair := range slices.Chunk(args[1:], 2) {
		if err := p.setBackendOption(d, upstreams, seen, pair[0], pair[1]); err != nil {
			return err
		}
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		option := d.Val()
		if option == "backup" {
			setBackup(upstreams)
			if err := module.NoMore(d, option); err != nil {
				return err
			}
			continue
		}
		var value string
		if !d.AllArgs(&value) {
			return d.Errf("%s takes one value", option)
		}
		if err := p.setBackendOption(d, upstreams, seen, option, value); err != nil {
			return err
		}
	}
	return nil
}

// setBackendOption sets an option of what one line of backends stands for; seen has those that were
// set.
func (p *poolParser) setBackendOption(d *caddyfile.Dispenser, upstreams []*Upstream, seen map[string]bool, option, value string) error {
	if seen[option] {
		return d.Errf("%s is there already for this backend: write it once", option)
	}
	seen[option] = true
	if err := setBackendOption(d, upstreams, option, value); err != nil {
		return err
	}
	if option == "max_requests" && upstreams[0].MaxRequests == 0 {
		p.warn(d, "max_requests 0 is no bound: leave it out, or write 'weight 0' to keep requests from the backend")
	}
	return nil
}

func setBackup(upstreams []*Upstream) {
	for _, u := range upstreams {
		u.Backup = true
	}
}

func setBackendOption(d *caddyfile.Dispenser, upstreams []*Upstream, option, value string) error {
	number := func(limit int) (int, error) {
		n, err := strconv.Atoi(value)
		if err != nil || n < 0 || n > limit {
			return 0, d.Errf("%s must be a whole number from 0 to %d, got %s", option, limit, value)
		}
		return n, nil
	}
	var n int
	var err error
	for _, u := range upstreams {
		switch option {
		case "weight":
			n, err = number(lb.MaxWeight)
			u.Weight = &n
		case "priority":
			u.Priority, err = number(maxPriority)
		case "max_requests":
			u.MaxRequests, err = number(maxMaxRequests)
		case "tls_server_name":
			u.TLSServerName = value
		default:
			return d.Errf("unrecognized option of a backend: %s: %s", option,
				module.Suggest(option, "weight", "priority", "backup", "max_requests", "tls_server_name"))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Bounds of options whose meaning sets none.
const (
	maxPriority    = 127
	maxMaxRequests = 1 << 30
)

// parseWrittenAddress reads an address in any of the forms that reverse_proxy takes: host:port, host,
// scheme://host[:port], unix/path, unix+h2c/path, a range of ports, placeholders (not with a scheme).
func parseWrittenAddress(s string) (writtenAddress, error) {
	if network, path, ok := strings.Cut(s, ":"); ok && strings.HasPrefix(network, "unix") && strings.HasPrefix(path, "/") && !strings.HasPrefix(path, "//") {
		return writtenAddress{}, fmt.Errorf("a socket is written with slashes: write %s/%s", network, path)
	}
	if strings.Contains(s, ",") && !hasPlaceholder(s) && !strings.HasPrefix(s, "unix") {
		return writtenAddress{}, errors.New("it has a comma: write addresses without commas, with spaces between them")
	}
	if strings.Contains(s, "://") {
		return parseURLAddress(s)
	}
	network, host, port, err := caddy.SplitNetworkAddress(s)
	if err != nil {
		host = s
	}
	a := writtenAddress{network: network, host: host, port: port}
	if network == "unix+h2c" {
		a.network, a.scheme = "unix", "h2c"
	}
	if port == "" && !hasPlaceholder(host) && !caddy.IsUnixNetwork(network) && !caddy.IsFdNetwork(network) {
		a.port = "80"
	}
	return a, nil
}

// defaultPorts are the ports of the schemes that a backend may have.
var defaultPorts = map[string]string{"http": "80", "h2c": "80", "https": "443"}

func parseURLAddress(s string) (writtenAddress, error) {
	if hasPlaceholder(s) {
		return writtenAddress{}, errors.New("a placeholder cannot stand in an address with a scheme: leave the scheme out, and set up TLS or h2c in the transport")
	}
	// A range of ports is no valid URL, so it is taken off first.
	scheme, rest, _ := strings.Cut(s, "://")
	ports := ""
	if i := strings.LastIndexByte(rest, ':'); i >= 0 && strings.Count(rest[i:], "-") == 1 && !strings.ContainsAny(rest[i:], "]/") {
		rest, ports = rest[:i], rest[i+1:]
	}
	u, err := url.Parse(scheme + "://" + rest)
	if err != nil {
		return writtenAddress{}, fmt.Errorf("parsing upstream URL: %w", err)
	}
	switch {
	case u.Scheme == "ws" || u.Scheme == "wss":
		instead := strings.Replace(u.Scheme, "ws", "http", 1)
		return writtenAddress{}, fmt.Errorf("%s:// is a scheme for browsers: WebSockets to a backend begin as HTTP, write %s://", u.Scheme, instead)
	case defaultPorts[u.Scheme] == "":
		return writtenAddress{}, fmt.Errorf("the scheme %s:// is none of http, https, h2c", u.Scheme)
	case u.Path != "" || u.RawQuery != "" || u.Fragment != "":
		return writtenAddress{}, errors.New("the URL of a backend ends with its port: rewrite the path of requests with the rewrite option")
	}
	a := writtenAddress{scheme: u.Scheme, host: u.Hostname(), port: u.Port()}
	if ports != "" {
		a.port = ports
	}
	switch {
	case a.port == "443" && a.scheme != "https":
		return writtenAddress{}, fmt.Errorf("port 443 is spoken to over HTTPS, not %s://: write https://, or another port", a.scheme)
	case a.port == "80" && a.scheme == "https":
		return writtenAddress{}, errors.New("port 80 is spoken to over HTTP, not https://: write http://, or another port")
	case a.port == "":
		a.port = defaultPorts[a.scheme]
	}
	return a, nil
}

// dials are the addresses to connect to, in the form of the JSON configuration.
func (a writtenAddress) dials() ([]string, error) {
	if a.network != "" {
		dial := caddy.JoinNetworkAddress(a.network, a.host, a.port)
		if caddy.IsUnixNetwork(a.network) || caddy.IsFdNetwork(a.network) || hasPlaceholder(a.port) {
			return []string{dial}, nil
		}
	}
	if a.port == "" || hasPlaceholder(a.port) {
		if a.port == "" {
			return []string{a.host}, nil
		}
		return []string{net.JoinHostPort(a.host, a.port)}, nil
	}
	parsed, err := caddy.ParseNetworkAddress(caddy.JoinNetworkAddress(a.network, a.host, a.port))
	if err != nil {
		return nil, fmt.Errorf("the port %q is no number from 1 to 65535, nor a range such as 8001-8003", a.port)
	}
	if parsed.PortRangeSize() == 1 {
		return []string{caddy.JoinNetworkAddress(a.network, a.host, a.port)}, nil
	}
	var dials []string
	for port := parsed.StartPort; port <= parsed.EndPort; port++ {
		dials = append(dials, caddy.JoinNetworkAddress("", a.host, strconv.FormatUint(uint64(port), 10)))
	}
	return dials, nil
}
