package caddytest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// endsClient sends a request of a form and returns what came of it, in the words of the table. left
// is closed when the client is to leave; what came until then is the outcome.
type endsClient func(url string, form endsForm, left <-chan struct{}) (outcome string, err error)

// trickleEvery is how long a client that trickles waits between two bytes.
const trickleEvery = 5 * time.Millisecond

// outcomeOf is what a client made of an answer: what it had got of the body when that ended with
// err.
func outcomeOf(status int, body string, trailer http.Header, err error) string {
	if err != nil && err != io.EOF {
		return endsBroken
	}
	s := fmt.Sprint(status)
	if body != "" {
		s += " " + body
	}
	if v := trailer.Get("X-End"); v != "" {
		s += " X-End=" + v
	}
	return s
}

// endsOverHTTP1 speaks HTTP/1.1 on a connection of its own.
func endsOverHTTP1(addr string) endsClient {
	return func(url string, form endsForm, left <-chan struct{}) (string, error) {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			return "", err
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(patience()))
		head := "POST /" + strings.SplitN(url, "/", 4)[3] + " HTTP/1.1\r\nHost: " + addr + "\r\nTE: trailers\r\nConnection: TE\r\n"
		if _, err := io.WriteString(conn, head+beginsHTTP1(form)); err != nil {
			return "", err
		}
		over := make(chan struct{})
		var sending sync.WaitGroup
		defer sending.Wait()
		defer close(over)
		if form.trickle {
			sending.Go(func() { trickle(over, func() error { _, err := io.WriteString(conn, "1\r\nx\r\n"); return err }) })
		}
		sending.Go(func() {
			select {
			case <-left:
				_ = conn.SetReadDeadline(time.Unix(1, 0))
			case <-over:
			}
		})
		return readEndsHTTP1(bufio.NewReader(conn), form)
	}
}

// beginsHTTP1 is the end of a request's head and what is sent of its body at once.
func beginsHTTP1(form endsForm) string {
	switch {
	case form.length >= 0:
		return fmt.Sprintf("Content-Length: %d\r\n\r\n%s", form.length, form.begins)
	case form.begins == "":
		return "Transfer-Encoding: chunked\r\n\r\n"
	case form.whole:
		return fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(form.begins), form.begins)
	default:
		return fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n", len(form.begins), form.begins)
	}
}

// trickle sends until it is over, or fails.
func trickle(over <-chan struct{}, send func() error) {
	tick := time.NewTicker(trickleEvery)
	defer tick.Stop()
	for {
		select {
		case <-over:
			return
		case <-tick.C:
			if send() != nil {
				return
			}
		}
	}
}

func readEndsHTTP1(in *bufio.Reader, form endsForm) (string, error) {
	resp, err := http.ReadResponse(in, nil)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return endsHeld, nil
	case errors.Is(err, io.ErrUnexpectedEOF):
		return endsBroken, nil
	case err != nil:
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if !form.whole && err == nil && !resp.Close {
		return "", errors.New("nothing can follow a request that has not ended, but the answer has no Connection: close")
	}
	return outcomeOf(resp.StatusCode, string(body), resp.Trailer, err), nil
}

// openBody is a body that goes on as its form says until it is closed.
type openBody struct {
	io.Reader
	over chan struct{}
	once sync.Once
}

func newOpenBody(form endsForm) *openBody {
	b := &openBody{over: make(chan struct{})}
	if form.whole {
		b.Reader = strings.NewReader(form.begins)
		return b
	}
	r, w := io.Pipe()
	b.Reader = r
	go func() {
		if form.begins != "" {
			_, _ = io.WriteString(w, form.begins)
		}
		if form.trickle {
			trickle(b.over, func() error { _, err := io.WriteString(w, "x"); return err })
		}
		<-b.over
		_ = w.CloseWithError(errors.New("the client has left"))
	}()
	go func() {
		<-b.over
		_ = r.Close()
	}()
	return b
}

// Close implements io.Closer.
func (b *openBody) Close() error {
	b.once.Do(func() { close(b.over) })
	return nil
}

// endsOverHTTP3 speaks HTTP/3 on one connection for all.
func endsOverHTTP3(t *testing.T, conn http.RoundTripper) endsClient {
	return func(url string, form endsForm, left <-chan struct{}) (string, error) {
		ctx, cancel := contextUntil(t, left)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, nil)
		if err != nil {
			return "", err
		}
		if form.length != 0 {
			body := newOpenBody(form)
			defer body.Close()
			req.Body, req.ContentLength = body, form.length
		}
		req.Header.Set("Te", "trailers")
		resp, err := conn.RoundTrip(req)
		if err != nil {
			select {
			case <-left:
				return endsHeld, nil
			default:
				return endsBroken, nil
			}
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		return outcomeOf(resp.StatusCode, string(body), resp.Trailer, err), nil
	}
}
