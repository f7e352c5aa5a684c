package caddytest

import (
	"context"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"slices"
	"strings"
	"testing"

	"github.com/quic-go/quic-go/http3"
)

// Interim answers come through HTTP/3, the backend's 100 among them, and a type is not made up.
func TestAnswersOverHTTP3(t *testing.T) {
	b := NewBackend(t, "A")
	b.Do(func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Content-Type"] = nil
		w.Header().Set("Link", "</a.css>")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Del("Link")
		body, _ := io.ReadAll(r.Body)
		_, _ = io.WriteString(w, "<html>"+string(body))
	})
	s := startHTTP3(t, b.Addr)
	client := new(http3.Transport).NewClientConn(s.dialHTTP3(t, "", s.h3Config()))
	for _, expect := range []string{"", "100-continue"} {
		var codes []int
		var links []string
		ctx := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{
			Got1xxResponse: func(code int, header textproto.MIMEHeader) error {
				codes = append(codes, code)
				links = append(links, strings.Join(header["Link"], ""))
				return nil
			},
		})
		req := newRequest(t, http.MethodPost, "https://localhost:"+s.vars["PORT"]+"/", "body").WithContext(ctx)
		want := []int{http.StatusEarlyHints}
		if expect != "" {
			req.Header.Set("Expect", expect)
			want = append(want, http.StatusContinue)
		}
		resp, err := client.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || string(body) != "<html>body" || resp.Header.Get("Link") != "" {
			t.Errorf("%s %q, %v with %v", resp.Status, body, err, resp.Header)
		}
		if kind, ok := resp.Header["Content-Type"]; ok {
			t.Errorf("the type is %q", kind)
		}
		if !slices.Equal(codes, want) || links[0] != "</a.css>" {
			t.Errorf("expecting %q: interim answers %v with %q, want %v", expect, codes, links, want)
		}
	}
}

// An extended CONNECT for anything but a WebSocket has nowhere to go to.
func TestOtherTunnelsOverHTTP3(t *testing.T) {
	b := NewBackend(t, "A")
	s := startHTTP3(t, b.Addr)
	client := new(http3.Transport).NewClientConn(s.dialHTTP3(t, "", s.h3Config()))
	stream, err := client.OpenRequestStream(within(t))
	if err != nil {
		t.Fatal(err)
	}
	req := newRequest(t, http.MethodConnect, "https://localhost:"+s.vars["PORT"]+"/", "")
	req.Proto, req.Body, req.ContentLength = "connect-udp", nil, 0
	if err := stream.SendRequestHeader(req); err != nil {
		t.Fatal(err)
	}
	resp, err := stream.ReadResponse()
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusNotImplemented {
		t.Errorf("answered %s", resp.Status)
	}
}
