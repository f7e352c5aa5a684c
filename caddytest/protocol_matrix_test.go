package caddytest

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
)

// framing says how the length of a message was told.
func framing(length int64, codings []string) []string {
	switch {
	case slices.Contains(codings, "chunked"):
		return []string{"chunked"}
	case length < 0:
		return []string{"until its end"}
	default:
		return []string{fmt.Sprint(length)}
	}
}

// TestProtocols has clients of each version of HTTP speak to backends of each version.
func TestProtocols(t *testing.T) {
	var c counts
	s, fronts := startAllProtocols(t, func(w http.ResponseWriter, r *http.Request) {
		c.arrived.Add(1)
		protocolBackend(w, r)
		if r.Context().Err() != nil {
			c.canceled.Add(1)
		}
	})
	for _, f := range fronts {
		for version, proto := range behind {
			t.Run(f.name+" to "+version, func(t *testing.T) {
				l := leg{s: s, front: f, version: version, behind: proto, counts: &c}
				t.Run("bodies", l.bodies)
				t.Run("trailers", l.trailers)
				t.Run("early hints", l.earlyHints)
				t.Run("no content", l.noContent)
				t.Run("both directions at once", l.bothDirections)
				t.Run("client leaves", l.clientLeaves)
			})
		}
	}
}

// counts are of requests at the backends.
type counts struct{ arrived, canceled atomic.Int64 }

// leg is a way through the server.
type leg struct {
	s       *Server
	version string // of HTTP behind, as in paths
	behind  string // the same, as the backend sees it
	counts  *counts
	front
}

func (l leg) url(action string) string { return l.base + "/" + l.version + "/" + action }

// send makes a request, which has to be answered over the protocols that the test is about.
func (l leg) send(t *testing.T, req *http.Request) (*http.Response, string) {
	t.Helper()
	resp, err := l.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.Proto != l.proto || resp.Header.Get("X-Proto") != l.behind {
		t.Errorf("%s in front, %q behind; want %s and %s", resp.Proto, resp.Header.Get("X-Proto"), l.proto, l.behind)
	}
	return resp, string(body)
}

// bodies keep their framing in both directions.
func (l leg) bodies(t *testing.T) {
	text := strings.Repeat("0123456789abcdef", 10_000)
	unknown := "until its end"
	if l.behind == "HTTP/1.1" {
		unknown = "chunked"
	}
	for want, body := range map[string]io.Reader{
		fmt.Sprint(len(text)): strings.NewReader(text),
		unknown:               io.MultiReader(strings.NewReader(text)),
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, l.url("framing"), body)
		if err != nil {
			t.Fatal(err)
		}
		resp, got := l.send(t, req)
		if got != text {
			t.Errorf("%s: %d bytes came back", want, len(got))
		}
		if seen := resp.Header.Get("X-Framing"); seen != want {
			t.Errorf("the backend's request has the length %s, want %s", seen, want)
		}
		if known := want != unknown; known != (resp.ContentLength == int64(len(text))) || !known && resp.ContentLength != -1 {
			t.Errorf("%s: the answer has the length %d", want, resp.ContentLength)
		}
	}
}

func (l leg) trailers(t *testing.T) {
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, l.url("framing"), io.MultiReader(strings.NewReader("body")))
	if err != nil {
		t.Fatal(err)
	}
	req.Trailer = http.Header{"X-Sum": {"4"}}
	// The HTTP/3 server that Caddy has does not read the trailers of requests.
	if resp, _ := l.send(t, req); resp.Header.Get("X-Trailer") != "4" && l.proto != "HTTP/3.0" {
		t.Errorf("the backend's request has the trailer %q", resp.Header.Get("X-Trailer"))
	}
	resp, body := l.send(t, newRequest(t, http.MethodGet, l.url("trailers"), "", "TE", "trailers"))
	if body != "body" || resp.Trailer.Get("X-Announced") != "1" || resp.Trailer.Get("X-Unannounced") != "2" {
		t.Errorf("%q came back with trailers %v", body, resp.Trailer)
	}
	if te := resp.Header.Get("X-Te"); te != "trailers" {
		t.Errorf("the backend got TE %q", te)
	}
}

func (l leg) earlyHints(t *testing.T) {
	var hints []string
	trace := &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
		hints = append(hints, fmt.Sprint(code, h.Get("Link")))
		return nil
	}}
	req := newRequest(t, http.MethodGet, l.url("hints"), "")
	resp, _ := l.send(t, req.WithContext(httptrace.WithClientTrace(req.Context(), trace)))
	if want := []string{"103</style.css>; rel=preload"}; !slices.Equal(hints, want) || resp.StatusCode != http.StatusOK {
		t.Errorf("interim answers %q, then %s", hints, resp.Status)
	}
}

// noContent are the answers that end with their header, whatever its length says.
func (l leg) noContent(t *testing.T) {
	for _, c := range []struct {
		method, action string
		status         int
		length         int64
		body           string
	}{
		{http.MethodHead, "head", http.StatusOK, 5, ""},
		{http.MethodGet, "204", http.StatusNoContent, 0, ""},
		{http.MethodGet, "304", http.StatusNotModified, 0, ""},
		{http.MethodGet, "head", http.StatusOK, 5, "12345"},
		{http.MethodGet, "framing", http.StatusOK, 0, ""},
	} {
		resp, body := l.send(t, newRequest(t, c.method, l.url(c.action), ""))
		// HTTP/3 clients have no word for "no body", and say that its length is unknown.
		length := resp.ContentLength
		if length < 0 && body == "" {
			length = 0
		}
		if resp.StatusCode != c.status || length != c.length || body != c.body {
			t.Errorf("%s %s: %d, length %d, %q", c.method, c.action, resp.StatusCode, length, body)
		}
		if seen := resp.Header.Get("X-Framing"); c.action == "framing" && seen != "0" {
			t.Errorf("a GET without a body has the length %s for the backend", seen)
		}
	}
}

// bothDirections sends a piece only when the one before came back.
func (l leg) bothDirections(t *testing.T) {
	pieces, up := io.Pipe()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, l.url("echo"), pieces)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := l.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	for i := range 5 {
		piece := fmt.Sprint("piece ", i)
		if _, err := io.WriteString(up, piece); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(piece))
		if _, err := io.ReadFull(resp.Body, got); err != nil || string(got) != piece {
			t.Fatalf("%q came back as %q, %v", piece, got, err)
		}
	}
	up.Close()
	if rest, err := io.ReadAll(resp.Body); err != nil || len(rest) > 0 {
		t.Errorf("the end is %q, %v", rest, err)
	}
}

// clientLeaves before the answer, or within it: the backend's request ends, and the log says who left.
func (l leg) clientLeaves(t *testing.T) {
	l.leave(t, "wait", false)
	l.leave(t, "silent", true)
	l.s.WaitLog(t, "that the client left", func(line LogLine) bool {
		req, _ := line["request"].(map[string]any)
		return req["uri"] == "/"+l.version+"/silent?by="+l.name && textOf(line["status"]) == "499"
	})
}

// leave makes a request and leaves once the backend has it, or has begun to answer.
func (l leg) leave(t *testing.T, action string, early bool) {
	arrived, canceled := l.counts.arrived.Load(), l.counts.canceled.Load()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req := newRequest(t, http.MethodGet, l.url(action)+"?by="+l.name, "").WithContext(ctx)
	left := make(chan error, 1)
	go func() {
		resp, err := l.client.Do(req)
		if err == nil {
			cancel()
			_, err = io.ReadAll(resp.Body)
			resp.Body.Close()
		}
		left <- err
	}()
	eventually(t, "the backend has the request", func() bool { return l.counts.arrived.Load() > arrived })
	if early {
		cancel()
	}
	if err := <-left; err == nil {
		t.Errorf("%s: the answer ended well", action)
	}
	eventually(t, action+": the backend's request ends", func() bool { return l.counts.canceled.Load() > canceled })
}
