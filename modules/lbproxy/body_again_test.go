package lbproxy

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func init() { caddy.RegisterModule(lateBody{}) }

// bodyIsLate is told when a lateBody decides.
var bodyIsLate = make(chan struct{})

// lateBody matches every request, once more of its body has come than is kept.
type lateBody struct{}

func (lateBody) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.matchers.lb_proxy_late_body", New: func() caddy.Module { return new(lateBody) }}
}

func (lateBody) MatchWithError(r *http.Request) (bool, error) {
	body := caddyhttp.GetVar(r.Context(), placeholdersVar).(*placeholders).latest.body
	bodyIsLate <- struct{}{}
	for body.replayable() {
		if r.Context().Err() != nil {
			return false, r.Context().Err()
		}
		time.Sleep(time.Millisecond)
	}
	return true, nil
}

// The read of a try that is over may get more than is kept after the request was found to be one that can be sent again. Its
// second half alone must not go to anybody.
func TestHalfABodyIsNotSentAgain(t *testing.T) {
	half := strings.Repeat("x", keepBytes-1000)
	broken := rawBackend(t, func(_ net.Conn, r *bufio.Reader) {
		readHead(t, r)
		_, _ = io.CopyN(io.Discard, r, int64(len(half)))
	})
	second := startBackend(t, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	p := startProxy(t, upstreams(broken, second.URL)+balancing(`"retries":1,"retry_match":[{"lb_proxy_late_body":{}}]`))
	chunk := func(s string) string { return strconv.FormatInt(int64(len(s)), 16) + "\r\n" + s + "\r\n" }
	conn, answer := p.raw("PUT / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(half))
	<-bodyIsLate
	_, _ = io.WriteString(conn, chunk(strings.Repeat("y", 2000)))
	_, _ = io.WriteString(conn, "0\r\n\r\n")
	if head := readHead(t, answer); !strings.HasPrefix(head, "HTTP/1.1 502") || second.count() != 0 {
		t.Errorf("got %q, and the second backend %d requests", head, second.count())
	}
}

// What comes between a try and the next one is for that one, however much it is.
func TestBodyThatComesBetweenTriesIsKept(t *testing.T) {
	src, client := io.Pipe()
	b := newRequestBody(httptest.NewRecorder(), new(http.Request), src, 4)
	old := b.reader(nil)
	oldRead := make(chan struct{})
	go func() {
		defer close(oldRead)
		_, _ = io.ReadAll(old)
	}()
	_, _ = io.WriteString(client, "all")
	if !b.reclaim() {
		t.Fatal("it is lost already")
	}
	go func() {
		_, _ = io.WriteString(client, " of the body")
		client.Close()
	}()
	<-oldRead
	got, err := io.ReadAll(b.reader(nil))
	if err != nil || string(got) != "all of the body" {
		t.Errorf("got %q, %v", got, err)
	}
	if b.release(atOnce); b.reclaim() {
		t.Error("it is given back, and to be had again")
	}
}

// A connection that turned out closed counts as none, but the body that was to be sent on it may be gone.
func TestNoRetryWithoutTheBody(t *testing.T) {
	h := &Handler{retry: retryRules{retries: 1, rounds: true}}
	ex := &exchange{h: h, in: httptest.NewRequest(http.MethodPut, "/", nil)}
	ex.body = newRequestBody(httptest.NewRecorder(), ex.in, &chunkReader{chunks: []string{"too long"}, err: io.EOF}, 4)
	if f := ex.retryAfter(newFailure(causeConnect, errors.New("closed")), false); f != nil {
		t.Errorf("with the body: %v", f)
	}
	ex.granted = 0
	_, _ = io.ReadAll(ex.body.reader(nil))
	if f := ex.retryAfter(newFailure(causeConnect, errors.New("closed")), false); f == nil {
		t.Error("the request is sent again without its body")
	}
}
