package lbproxy

import (
	"errors"
	"io"
	"net"
	"testing"
)

func pair(t *testing.T, network, address string) (client *liveConn, server net.Conn) {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dial := withLiveness((&net.Dialer{}).DialContext)
	conn, err := dial(t.Context(), network, l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if server, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(); server.Close() })
	return conn.(*liveConn), server
}

func TestWriteOnAnEndedConnection(t *testing.T) {
	for _, c := range []struct{ network, address string }{{"tcp", "127.0.0.1:0"}, {"unix", t.TempDir() + "/s"}} {
		t.Run(c.network, func(t *testing.T) {
			client, server := pair(t, c.network, c.address)
			exchange := func() {
				t.Helper()
				if _, err := client.Write([]byte("ask")); err != nil {
					t.Fatal(err)
				}
				if _, err := io.ReadFull(server, make([]byte, 3)); err != nil {
					t.Fatal(err)
				}
				if _, err := server.Write([]byte("answer, and more")); err != nil {
					t.Fatal(err)
				}
				if _, err := io.ReadFull(client, make([]byte, 6)); err != nil {
					t.Fatal(err)
				}
			}
			exchange()
			exchange() // bytes that wait to be read are no end
			server.Close()
			eventually(t, "the end to be seen", func() bool { return endedByPeer(client.raw) || drained(client) })
			n, err := client.Write([]byte("ask"))
			if n != 0 || !errors.Is(err, errConnectionEnded) {
				t.Errorf("wrote %d bytes: %v, want none and the reason", n, err)
			}
		})
	}
}

// drained reads what is left to be read, so that the end can be seen behind it.
func drained(c *liveConn) bool {
	_, _ = c.Read(make([]byte, 64))
	return false
}

func TestCloseWriteReachesTheBackend(t *testing.T) {
	client, server := pair(t, "tcp", "127.0.0.1:0")
	if err := client.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if n, err := server.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("the backend read %d bytes and %v, want the end", n, err)
	}
}
