package lb

import (
	"cmp"
	"net"
	"net/netip"
	"strings"
)

// Address names where a backend listens. It is a value: comparable, and usable as a map key.
type Address struct {
	// Scheme is how the backend is spoken to: "http", "https" or "h2c". It is part of the identity of a
	// backend, since a port that answers one of them does not answer the others alike.
	Scheme string

	// Network is what net.Dial takes: "tcp" or one of its kin, "unix" for a socket path.
	Network string

	// Host is an IP literal without brackets, a name, or the path of a Unix socket. It may hold a
	// placeholder that is filled in when connecting.
	Host string

	// Port is the port in decimal; empty for Unix sockets.
	Port string
}

// IsUnix reports whether the address is a Unix socket.
func (a Address) IsUnix() bool { return strings.HasPrefix(a.Network, "unix") }

// Dial is the address in the form net.Dial takes: host:port, with brackets around IPv6, or the socket path.
func (a Address) Dial() string {
	if a.IsUnix() || a.Port == "" {
		return a.Host
	}
	return net.JoinHostPort(a.Host, a.Port)
}

// String is the address as it stands in the admin API, logs and metrics: host:port for TCP, network/path for
// everything else.
func (a Address) String() string {
	if a.Network == "" || a.Network == "tcp" {
		return a.Dial()
	}
	return a.Network + "/" + a.Dial()
}

// ID is the address with its scheme, the identity of a backend in an anonymous pool.
func (a Address) ID() string { return a.Scheme + "://" + a.String() }

// IP returns the host as an IP address, or false when it is a name, a path or a placeholder.
func (a Address) IP() (netip.Addr, bool) {
	if a.IsUnix() {
		return netip.Addr{}, false
	}
	ip, err := netip.ParseAddr(a.Host)
	return ip, err == nil
}

// Compare orders addresses canonically, as Pingora sorts its backends: IPv4 before IPv6 before names before
// Unix sockets; IPs and ports by number, all else by text. Hash policies build on this order, so that every
// process with the same backends makes the same choice, whatever the order in its configuration.
func (a Address) Compare(b Address) int {
	if c := cmp.Compare(a.class(), b.class()); c != 0 {
		return c
	}
	aIP, aOK := a.IP()
	bIP, bOK := b.IP()
	if aOK && bOK {
		if c := aIP.Compare(bIP); c != 0 {
			return c
		}
	} else if c := cmp.Compare(a.Host, b.Host); c != 0 {
		return c
	}
	// Ports compare by number: of two decimal texts the shorter is the smaller.
	if c := cmp.Compare(len(a.Port), len(b.Port)); c != 0 {
		return c
	}
	if c := cmp.Compare(a.Port, b.Port); c != 0 {
		return c
	}
	if c := cmp.Compare(a.Network, b.Network); c != 0 {
		return c
	}
	return cmp.Compare(a.Scheme, b.Scheme)
}

func (a Address) class() int {
	if a.IsUnix() {
		return 3
	}
	ip, ok := a.IP()
	switch {
	case !ok:
		return 2
	case ip.Is4():
		return 0
	default:
		return 1
	}
}
