package caddytest

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

const endsRetries = `{
	servers {
		protocols h1 h2c
	}
}
http://127.0.0.1:{$PORT} {
	lb_proxy h2c://{$A} h2c://{$B} {
		lb_policy first
		lb_retries 1
		try_timeout 300ms
		lb_retry_match {
			method POST
			expression ` + "`{rp.status_code} == 403 || {rp.is_transport_error} == true`" + `
		}
	}
}
`

// A try that is over while the client has its request open leaves the body to the next one. The
// client does not have to go on for that, and the first backend's stream ends.
func TestRetryWithAnOpenBody(t *testing.T) {
	first, second := startEnds(t, nil, serveEndsHTTP2), startEnds(t, nil, serveEndsHTTP2)
	s := Start(t, endsRetries, map[string]string{"A": first.addr, "B": second.addr})
	addr := "127.0.0.1:" + s.vars["PORT"]
	clients := map[string]endsClient{
		"h1":  endsOverHTTP1(addr),
		"h2c": endsOverHTTP2(func() (net.Conn, error) { return net.Dial("tcp", addr) }),
	}
	whole := endsAnswer{moment: onFirst, status: 200, length: -1, body: "whole"}
	answers := []endsAnswer{
		{name: "error", moment: onFirst, cut: resetError},
		{name: "answer to be rejected", moment: onFirst, status: 403, length: -1, body: "no"},
		{name: "answer without an end", moment: onFirst, status: 403, length: -1, body: "no", short: true},
		{name: "nothing", moment: onEnd},
	}
	n := 0
	for name, client := range clients {
		for _, form := range endsForms {
			if form.begins == "" || form.leaves {
				continue
			}
			for _, answer := range answers {
				n++
				id := fmt.Sprint("cell", n)
				failed := &endsCell{endsCase: endsCase{form: form, answer: answer}, id: id, here: make(chan struct{})}
				first.expect(failed)
				second.expect(&endsCell{endsCase: endsCase{form: form, answer: whole}, id: id, here: make(chan struct{})})
				begun := time.Now()
				want := "200 whole"
				if answer.name == "nothing" && form.length > 0 && !form.whole {
					want = "408" // the client owes the rest, and no backend does better without it
				}
				got, err := client(s.URL("PORT", "/"+id), form, make(chan struct{}))
				if got != want || err != nil {
					t.Errorf("%s: %s: got %s, %v, want %s", name, failed, got, err, want)
				}
				if took := time.Since(begun); took > patience()/2 {
					t.Errorf("%s: %s: it took %v", name, failed, took)
				}
			}
		}
	}
	eventually(t, "the first backend's streams have ended", func() bool { return len(first.left()) == 0 })
	eventually(t, "the second backend's streams have ended", func() bool { return len(second.left()) == 0 })
	eventually(t, "every place is free", func() bool { return s.active() == 0 })
}

// A client that waits to be told to send its body is not told by a backend that answers without it,
// however long the answer takes. It ends when the backend has ended it.
func TestAnswerWithoutTheExpectedBody(t *testing.T) {
	b := NewBackend(t, "A")
	release := make(chan struct{})
	b.Do(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		<-release
		_, _ = io.WriteString(w, "whole")
	})
	s := Start(t, `{
	servers {
		protocols h1 h2c
	}
}
http://127.0.0.1:{$PORT} {
	lb_proxy h2c://{$A} {
		transport http {
			expect_continue_timeout 50ms
		}
	}
}
`, addresses(b))
	conn, in := s.raw("POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	time.AfterFunc(200*time.Millisecond, func() { close(release) }) // the transport has given up waiting
	body, err := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusOK || string(body) != "whole" || err != nil {
		t.Errorf("got %s %q, %v", resp.Status, body, err)
	}
	conn.Close()
	eventually(t, "the place is free", func() bool { return s.active() == 0 })
}

// An answer that does not wait for the body is as fast over HTTP/2 to the backend as over HTTP/1.1,
// and leaves the client time to read it.
func TestEarlyAnswerIsFast(t *testing.T) {
	backends := map[string]*endsBackend{
		"h2c://": startEnds(t, nil, serveEndsHTTP2), "http://": startEnds(t, nil, serveEndsHTTP1),
	}
	for scheme, b := range backends {
		s := Start(t, "{\n\tservers {\n\t\tprotocols h1 h2c\n\t}\n}\nhttp://127.0.0.1:{$PORT} {\n\tlb_proxy {$A}\n}\n",
			map[string]string{"A": scheme + b.addr})
		refusal := endsAnswer{moment: onHead, status: 413, length: -1, body: "big", trailer: true}
		b.expect(&endsCell{endsCase: endsCase{answer: refusal}, id: "x", here: make(chan struct{})})
		begun := time.Now()
		_, in := s.raw("POST /x HTTP/1.1\r\nHost: 127.0.0.1\r\nTE: trailers\r\nConnection: TE\r\nContent-Length: 100000\r\n\r\nreq1")
		text, err := wholeAnswer(in)
		if err != nil || !strings.Contains(text, "Connection: close") || !strings.HasSuffix(text, "0\r\nX-End: 1\r\n\r\n") {
			t.Errorf("%s: got %q, %v", scheme, text, err)
		}
		t.Logf("%s the answer took %v", scheme, time.Since(begun))
		if took := time.Since(begun); took > patience()/2 {
			t.Errorf("%s: the answer took %v", scheme, took)
		}
	}
}

// wholeAnswer is the text of an answer up to the end of its trailers.
func wholeAnswer(in *bufio.Reader) (string, error) {
	var text strings.Builder
	for !strings.Contains(text.String(), "0\r\n") || !strings.HasSuffix(text.String(), "\r\n\r\n") {
		line, err := in.ReadString('\n')
		text.WriteString(line)
		if err != nil {
			return text.String(), err
		}
	}
	return text.String(), nil
}
