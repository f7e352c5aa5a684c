package load

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"

	"golang.org/x/net/http2/hpack"
)

// serverName is in the certificates, and the host of requests unless they have many.
const serverName = "bench.test"

// script has the requests that are sent in turn, ready to be written.
type script struct {
	h1   [][]byte
	h2   [][]byte // header blocks
	h2up []byte   // the DATA payload that follows each header block; empty for GET
	turn int
}

// newScript prepares the requests of a run: as many as are needed for each host and each path to come.
func newScript(run *Run) *script {
	s := &script{}
	body := bytes.Repeat([]byte("u"), run.Upload)
	for i := range max(run.Keys, run.Hosts, 1) {
		host := serverName
		if run.Hosts > 0 {
			host = Host(i % run.Hosts)
		}
		path := fmt.Sprintf("/%d/%d", run.Answer, run.Upload)
		if run.Keys > 0 {
			path = fmt.Sprintf("%s/%d", path, i%run.Keys)
		}
		s.h1 = append(s.h1, append(requestHead(run, host, path), body...))
		if run.Protocol == H2 {
			s.h2 = append(s.h2, headerBlock(run, host, path))
		}
	}
	if run.Protocol == H2 {
		s.h2up = body
	}
	return s
}

// Host is the name of one of many sites.
func Host(i int) string { return fmt.Sprintf("bench-%d.test", i) }

func requestHead(run *Run, host, path string) []byte {
	method, more := "GET", ""
	if run.Upload > 0 {
		method, more = "POST", fmt.Sprintf("Content-Type: application/octet-stream\r\nContent-Length: %d\r\n", run.Upload)
	}
	if run.Close {
		more += "Connection: close\r\n"
	}
	return fmt.Appendf(nil, "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: bench\r\nAccept: */*\r\n%s\r\n", method, path, host, more)
}

// headerBlock encodes a request without reference to the dynamic table, so that the block is good
// at any time.
func headerBlock(run *Run, host, path string) []byte {
	fields := [][2]string{
		{":method", "GET"},
		{":scheme", "https"},
		{":authority", host},
		{":path", path},
		{"user-agent", "bench"},
		{"accept", "*/*"},
	}
	if run.Upload > 0 {
		fields[0][1] = "POST"
		fields = append(fields, [2]string{"content-type", "application/octet-stream"},
			[2]string{"content-length", fmt.Sprint(run.Upload)})
	}
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	for _, f := range fields {
		// A sensitive field is never indexed. Writing to a buffer does not fail.
		_ = enc.WriteField(hpack.HeaderField{Name: f[0], Value: f[1], Sensitive: f[0] != ":method" && f[0] != ":scheme"})
	}
	return block.Bytes()
}

// next is the index of the request whose turn it is.
func (s *script) next() int {
	i := s.turn
	if s.turn++; s.turn == len(s.h1) {
		s.turn = 0
	}
	return i
}

// clientTLS is the clients' configuration: TLS 1.3, with the same key exchange and the same cipher for all proxies.
func clientTLS(run *Run) (*tls.Config, error) {
	pem, err := os.ReadFile(run.CA)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", run.CA)
	}
	config := &tls.Config{
		RootCAs: roots, ServerName: serverName, MinVersion: tls.VersionTLS13,
		CurvePreferences: []tls.CurveID{tls.X25519}, NextProtos: []string{"http/1.1"},
		VerifyConnection: func(s tls.ConnectionState) error {
			if s.CipherSuite != tls.TLS_AES_128_GCM_SHA256 {
				return fmt.Errorf("another cipher suite than the other proxies': %s", tls.CipherSuiteName(s.CipherSuite))
			}
			return nil
		},
	}
	if run.Protocol == H2 {
		config.NextProtos = []string{"h2"}
	}
	return config, nil
}
