package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/caddylb/caddy-lb/bench/internal/chaos/fleet"
)

// host is what clients call the service; it is whom the certificate is for.
const host = "bench.test"

// SeqField is the field of a request that has its number.
const SeqField = "X-Seq"

// Get sends GET requests to a path.
func Get(c *H1, path string) Send {
	return func(seq int) Answer {
		req, err := http.NewRequest(http.MethodGet, "http://"+host+path, http.NoBody)
		if err != nil {
			return Answer{Outcome: Refused}
		}
		req.Header.Set(SeqField, strconv.Itoa(seq))
		return c.Do(req)
	}
}

// Upload sends chunked bodies over some time.
func Upload(c *H1, chunks, size int, pause time.Duration) Send {
	return func(int) Answer {
		body := &slowBody{left: chunks, chunk: bytes.Repeat([]byte("x"), size), pause: pause}
		req, err := http.NewRequest(http.MethodPost, "http://"+host+fleet.UploadPath, body)
		if err != nil {
			return Answer{Outcome: Refused}
		}
		return c.Do(req)
	}
}

// slowBody is a body without a known length whose chunks come with pauses.
type slowBody struct {
	left  int
	chunk []byte
	pause time.Duration
}

func (b *slowBody) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, io.EOF
	}
	time.Sleep(b.pause)
	b.left--
	return copy(p, b.chunk), nil
}

// H2 sends GET requests over HTTP/2 with TLS, verified by the certificate in a file. The server's GOAWAY has such a client open
// another connection, as HTTP/2 has it.
func H2(addr, certFile string, timeout time.Duration) (Send, func(), error) {
	pem, err := os.ReadFile(certFile)
	if err != nil {
		return nil, nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	protocols := new(http.Protocols)
	protocols.SetHTTP2(true)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: host}, Protocols: protocols}
	send := func(int) Answer {
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+addr+"/", http.NoBody)
		if err != nil {
			return Answer{Outcome: Refused}
		}
		req.Host = host
		resp, err := transport.RoundTrip(req)
		if err != nil {
			if errors.Is(err, context.DeadlineExceeded) {
				return Answer{Outcome: Timeout}
			}
			return Answer{Outcome: Cut}
		}
		defer resp.Body.Close()
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			return Answer{Status: resp.StatusCode, Outcome: Broken}
		}
		if resp.StatusCode != http.StatusOK {
			return Answer{Status: resp.StatusCode, Outcome: Status}
		}
		return Answer{Status: resp.StatusCode, Backend: resp.Header.Get(fleet.BackendField), Outcome: OK}
	}
	return send, transport.CloseIdleConnections, nil
}

// WebSocket keeps a connection and sends messages that have to come back. One whose connection ended opens another for the next.
func WebSocket(addr string, timeout time.Duration) Send {
	var ws *webSocket
	return func(seq int) Answer {
		if ws == nil {
			var outcome Outcome
			if ws, outcome = dialWebSocket(addr, timeout); outcome != OK {
				return Answer{Outcome: outcome}
			}
		}
		if err := ws.exchange(fmt.Appendf(nil, "message %d", seq), timeout); err != nil {
			ws.Close()
			ws = nil
			return Answer{Outcome: failure(err, Cut)}
		}
		return Answer{Status: http.StatusSwitchingProtocols, Outcome: OK}
	}
}
