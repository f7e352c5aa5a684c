package healthcheck

import (
	"bufio"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/pires/go-proxyproto"

	"github.com/caddylb/caddy-lb/lb"
)

func TestTCP(t *testing.T) {
	c := load(t, map[string]any{"kind": "tcp"})
	_, good := listen(t)
	expect(t, c, good, "")
	expect(t, c, refused(t, "http"), "connection refused")

	_, socket := unixTarget(t, "http")
	expect(t, c, socket, "")
	socket.Address.Host += "-not"
	expect(t, c, socket, "no such file")
}

// A listener whose backlog is full drops what comes next, as a host does that is gone from the network.
func TestTCPBlackHole(t *testing.T) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "listener")
	defer f.Close()
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	to := at(t, "http", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: name.(*syscall.SockaddrInet4).Port})
	fill, err := net.Dial("tcp", to.Address.Dial())
	if err != nil {
		t.Fatal(err)
	}
	defer fill.Close()
	timesOut(t, load(t, map[string]any{"kind": "tcp"}), to)
}

func TestProxyProtocol(t *testing.T) {
	for _, version := range []string{"v1", "v2"} {
		for _, inherited := range []bool{false, true} {
			l, to := listen(t)
			seen := make(chan *proxyproto.Header, 1)
			stop := serve(l, func(c net.Conn) {
				h, err := proxyproto.Read(bufio.NewReader(c))
				if err != nil {
					t.Errorf("%s: %v", version, err)
				}
				seen <- h
			})
			module := map[string]any{"kind": "tcp", "proxy_protocol": version}
			if inherited {
				delete(module, "proxy_protocol")
			}
			c := load(t, module)
			if inherited {
				c.(Inheritor).Inherit(Inherited{ProxyProtocol: version})
			}
			expect(t, c, to, "")
			h := <-seen
			if h == nil || h.Version != version[1]-'0' || h.Command.IsProxy() && h.TransportProtocol != proxyproto.UNSPEC {
				t.Errorf("%s: header %+v", version, h)
			}
			stop()
		}
	}
	failsToLoad(t, `{"kind":"tcp","proxy_protocol":"v3"}`, "write v1 or v2")
}

func TestAuthority(t *testing.T) {
	tcp := lb.Address{Network: "tcp", Host: "::1", Port: "80"}
	unix := lb.Address{Network: "unix", Host: "/run/s"}
	for want, to := range map[string]Target{
		"[::1]:80":  {Address: tcp},
		"a.test:80": {Address: tcp, Name: "a.test"},
		"localhost": {Address: unix},
		"b.test":    {Address: unix, Name: "b.test"},
	} {
		if got := authority(to); got != want {
			t.Errorf("authority of %+v is %q, want %q", to, got, want)
		}
	}
}
