package lbproxy

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// resolver looks names up in DNS. The zero value asks the servers of the system.
type resolver struct {
	servers []string // host:port
	next    *atomic.Uint32
}

// resolverFor asks the given DNS servers (host or host:port) in turn, or those of the system when
// there are none.
func resolverFor(servers []string) resolver {
	r := resolver{next: new(atomic.Uint32)}
	for _, server := range servers {
		if _, _, err := net.SplitHostPort(server); err != nil {
			server = net.JoinHostPort(server, "53")
		}
		r.servers = append(r.servers, server)
	}
	return r
}

func (r resolver) lookUpIP(ctx context.Context, network, name string) (addresses []netip.Addr, err error) {
	err = r.ask(func(dns *net.Resolver) error {
		addresses, err = dns.LookupNetIP(ctx, network, name)
		return err
	})
	return addresses, err
}

func (r resolver) lookUpSRV(ctx context.Context, service, proto, name string) (records []*net.SRV, err error) {
	err = r.ask(func(dns *net.Resolver) error {
		_, records, err = dns.LookupSRV(ctx, service, proto, name)
		return err
	})
	return records, err
}

// ask looks something up. The error names the servers that were asked: net's own resolver believes
// that it asks those of the system.
func (r resolver) ask(lookUp func(*net.Resolver) error) error {
	if len(r.servers) == 0 {
		return lookUp(net.DefaultResolver)
	}
	var mu sync.Mutex
	var asked []string
	err := lookUp(&net.Resolver{
		PreferGo: true,
		Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			server := r.servers[int(r.next.Add(1)-1)%len(r.servers)]
			mu.Lock()
			if !slices.Contains(asked, server) {
				asked = append(asked, server)
			}
			mu.Unlock()
			return (&net.Dialer{}).DialContext(ctx, network, server)
		},
	})
	var failed *net.DNSError
	if errors.As(err, &failed) {
		mu.Lock()
		defer mu.Unlock()
		named := *failed
		named.Server = strings.Join(asked, ", ")
		return &named
	}
	return err
}

// lookupServers are the DNS servers for update_frequency: the pool's own, else those that the
// transport is to ask.
func (c *PoolConfig) lookupServers() []string {
	if len(c.Resolvers) > 0 || transportProtocol(c.TransportRaw) != "http" {
		return c.Resolvers
	}
	var transport struct {
		Resolver *struct {
			Addresses []string `json:"addresses"`
		} `json:"resolver"`
	}
	if len(c.TransportRaw) == 0 || json.Unmarshal(c.TransportRaw, &transport) != nil || transport.Resolver == nil {
		return nil
	}
	return withoutNetworks(transport.Resolver.Addresses)
}

// withoutNetworks takes the network off addresses that have one, as in udp/10.0.0.1:53.
func withoutNetworks(addresses []string) []string {
	bare := make([]string, len(addresses))
	for i, a := range addresses {
		bare[i] = a[strings.LastIndexByte(a, '/')+1:]
	}
	return bare
}
