package lbproxy

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// askAndAnswer is a backend that asks for the body and answers before it has read any of it, with
// the body's length behind. The parts of its answer are written one after the other.
func askAndAnswer(parts ...string) func(conn net.Conn, r *bufio.Reader) {
	return func(conn net.Conn, r *bufio.Reader) {
		for {
			req, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			for _, part := range parts {
				_, _ = io.WriteString(conn, part)
			}
			n, err := io.Copy(io.Discard, req.Body)
			if err != nil {
				return
			}
			count := strconv.FormatInt(n, 10)
			if _, err := fmt.Fprintf(conn, "%x\r\n%s\r\n0\r\n\r\n", len(count), count); err != nil {
				return
			}
		}
	}
}

const (
	askForBody  = "HTTP/1.1 100 Continue\r\n\r\n"
	chunkedHead = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
)

// nodeBackend answers with the length of the body, and sends its header before it reads that. It
// sends the 100 by itself.
const nodeBackend = `
const server = require('http').createServer((req, res) => {
	res.writeHead(200);
	res.write(' ');
	let n = 0;
	req.on('data', d => { n += d.length; });
	req.on('end', () => res.end(String(n)));
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
process.stdin.on('end', () => process.exit()).resume();
`

// startNode runs a script for Node that prints its port and ends when its input does.
func startNode(t *testing.T, script string) (address string) {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("there is no node to test with: install Debian's package nodejs")
	}
	file := filepath.Join(t.TempDir(), "server.js")
	if err := os.WriteFile(file, []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(node, file)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); _ = cmd.Wait() })
	port, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return "127.0.0.1:" + strings.TrimSpace(port)
}

// A backend that asks for the body and answers at once gets the body, whatever the packets.
func TestBodyArrivesWhereTheAnswerIsEarly(t *testing.T) {
	const uploads = 100
	for _, tc := range []struct {
		name  string
		start func(t *testing.T) string
	}{
		{"one write", func(t *testing.T) string { return rawBackend(t, askAndAnswer(askForBody+chunkedHead)) }},
		{"two writes", func(t *testing.T) string { return rawBackend(t, askAndAnswer(askForBody, chunkedHead)) }},
		{"Node", func(t *testing.T) string { return startNode(t, nodeBackend) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := startProxy(t, upstreams(tc.start(t)))
			transport := &http.Transport{ExpectContinueTimeout: time.Hour}
			defer transport.CloseIdleConnections()
			client := &http.Client{Transport: transport, Timeout: patience}
			body := bytes.Repeat([]byte("x"), 20_000)
			for i := range uploads {
				req, _ := http.NewRequest(http.MethodPost, p.url("/"), bytes.NewReader(body))
				req.Header.Set("Expect", "100-continue")
				res, err := client.Do(req)
				if err != nil {
					t.Fatalf("upload %d: %v", i, err)
				}
				got, err := io.ReadAll(res.Body)
				res.Body.Close()
				if err != nil || strings.TrimSpace(string(got)) != strconv.Itoa(len(body)) {
					t.Fatalf("upload %d: the backend got %q bytes, %v", i, got, err)
				}
			}
		})
	}
}

// interimCase is an exchange with interim answers: what the client sends, what the backend answers
// at once, and the status codes that the client gets, the final one last.
type interimCase struct {
	name, request, answer string
	codes                 string
}

const (
	oldGet     = "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
	oldPost    = "POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\nbody"
	hints      = "HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n"
	processing = "HTTP/1.1 102 Processing\r\n\r\n"
	finalOK    = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
)

var interimCases = []interimCase{
	{"none", plainGet, finalOK, "200"},
	{"one", plainGet, hints + finalOK, "103 200"},
	{"several", plainGet, hints + processing + hints + finalOK, "103 102 103 200"},
	{"100 unasked", plainGet, askForBody + finalOK, "100 200"},
	{"HTTP/1.0", oldGet, hints + processing + askForBody + finalOK, "200"},
	{"HTTP/1.0 that expects", oldPost, askForBody + hints + finalOK, "200"},
	{"expected", expecting, askForBody + finalOK, "100 200"},
	{"expected, hints before", expecting, hints + askForBody + finalOK, "103 100 200"},
	{"expected, hints behind", expecting, askForBody + hints + finalOK, "100 103 200"},
	{"expected, twice", expecting, askForBody + askForBody + finalOK, "100 200"},
}

// hintsAlone is not in the table: net/http's transport does not tell the final answer behind hints,
// and asks for a body then that it means to throw away.
var hintsAlone = interimCase{"expected, hints alone", expecting, hints + finalOK, "103 200"}

// Interim answers come through in their order, in one packet with the final one, on a connection's
// first request and on later ones, from the engine and from Caddy's transport. A client that speaks
// HTTP/1.0 gets none.
func TestInterimAnswersToHTTP1(t *testing.T) {
	for _, tc := range append(interimCases, hintsAlone) {
		t.Run(tc.name, func(t *testing.T) { testInterim(t, tc, `"compression":false`) })
	}
	for _, tc := range interimCases {
		t.Run("transport, "+tc.name, func(t *testing.T) { testInterim(t, tc, `"compression":true`) })
	}
}

func testInterim(t *testing.T, tc interimCase, transport string) {
	address := rawBackend(t, func(conn net.Conn, r *bufio.Reader) {
		for {
			req, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			if req.Header.Get("Expect") != "" && tc.request == oldPost {
				t.Error("HTTP/1.0 knows no expectations, but the backend saw one")
			}
			_, _ = io.WriteString(conn, tc.answer)
			if _, err := io.Copy(io.Discard, req.Body); err != nil {
				return
			}
		}
	})
	p := startProxy(t, upstreams(address)+`,"transport":{"protocol":"http","expect_continue_timeout":"1h",`+transport+`}`,
		serverOptions{before: `{"handler":"subroute","routes":[{"match":[{"path":["/own"]}],
					"handle":[{"handler":"static_response","status_code":204}]}]}`})
	for _, before := range []string{"", "GET /own HTTP/1.1\r\nHost: x\r\n\r\n"} {
		conn, r := p.raw(before)
		if before != "" {
			readHead(t, r)
		}
		_, _ = io.WriteString(conn, tc.request)
		var codes []string
		for final := false; !final; {
			line, _, _ := strings.Cut(readHead(t, r), "\r\n")
			version, rest, _ := strings.Cut(line, " ")
			code, _, _ := strings.Cut(rest, " ")
			if !strings.HasPrefix(version, "HTTP/") {
				t.Fatalf("after %q came %q", codes, line)
			}
			codes = append(codes, code)
			final = code >= "200"
		}
		if got := strings.Join(codes, " "); got != tc.codes {
			t.Errorf("behind %q: got %s, want %s", before, got, tc.codes)
		}
	}
}
