package lb_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/caddylb/caddy-lb/lb"
)

func tcp(host, port string) lb.Address {
	return lb.Address{Scheme: "http", Network: "tcp", Host: host, Port: port}
}

func TestAddressForms(t *testing.T) {
	for _, c := range []struct {
		address           lb.Address
		dial, text, ident string
	}{
		{tcp("10.0.0.1", "80"), "10.0.0.1:80", "10.0.0.1:80", "http://10.0.0.1:80"},
		{tcp("::1", "80"), "[::1]:80", "[::1]:80", "http://[::1]:80"},
		{tcp("{vars.up}", ""), "{vars.up}", "{vars.up}", "http://{vars.up}"},
		{lb.Address{Scheme: "h2c", Network: "unix", Host: "/run/a.sock"}, "/run/a.sock", "unix//run/a.sock", "h2c://unix//run/a.sock"},
		{lb.Address{Scheme: "https", Network: "tcp4", Host: "a.internal", Port: "443"}, "a.internal:443", "tcp4/a.internal:443", "https://tcp4/a.internal:443"},
	} {
		if got := c.address.Dial(); got != c.dial {
			t.Errorf("Dial of %#v = %q, want %q", c.address, got, c.dial)
		}
		if got := c.address.String(); got != c.text {
			t.Errorf("String of %#v = %q, want %q", c.address, got, c.text)
		}
		if got := c.address.ID(); got != c.ident {
			t.Errorf("ID of %#v = %q, want %q", c.address, got, c.ident)
		}
	}
}

func TestAddressOrder(t *testing.T) {
	want := []lb.Address{
		tcp("1.0.0.1", "80"),
		tcp("1.0.0.255", "80"),
		tcp("1.1.1.1", "9"),
		tcp("1.1.1.1", "80"),
		tcp("10.0.0.1", "80"),
		tcp("::1", "80"),
		tcp("2001:db8::1", "80"),
		tcp("a.internal", "80"),
		tcp("b.internal", "7"),
		{Scheme: "http", Network: "unix", Host: "/run/a.sock"},
		{Scheme: "https", Network: "unix", Host: "/run/a.sock"},
	}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, lb.Address.Compare)
	if !slices.Equal(got, want) {
		t.Errorf("sorted to %v, want %v", got, want)
	}
}

// The order is total: hash policies of two processes agree only if it is.
func TestAddressOrderIsTotal(t *testing.T) {
	address := rapid.Custom(func(t *rapid.T) lb.Address {
		return lb.Address{
			Scheme:  rapid.SampledFrom([]string{"http", "https"}).Draw(t, "scheme"),
			Network: rapid.SampledFrom([]string{"tcp", "tcp4", "unix"}).Draw(t, "network"),
			Host:    rapid.SampledFrom([]string{"1.2.3.4", "10.2.3.4", "::1", "::ffff:1.2.3.4", "a", "b", "/s"}).Draw(t, "host"),
			Port:    rapid.SampledFrom([]string{"", "80", "9", "443"}).Draw(t, "port"),
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := address.Draw(t, "a"), address.Draw(t, "b"), address.Draw(t, "c")
		if a.Compare(b) != -b.Compare(a) {
			t.Fatalf("%v and %v compare differently in the two directions", a, b)
		}
		if (a.Compare(b) == 0) != (a == b) {
			t.Fatalf("%v and %v: equal order, or not, without being equal, or not", a, b)
		}
		if a.Compare(b) <= 0 && b.Compare(c) <= 0 && a.Compare(c) > 0 {
			t.Fatalf("%v, %v, %v: not transitive", a, b, c)
		}
	})
}
