package caddytest

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// soakKinds are the kinds of clients.
var soakKinds = []struct {
	name     string
	clients  int
	client   func(testing.TB) *http.Client
	exchange func(k *soak, name string, c *http.Client)
}{
	{"GET over HTTP/1.1", 3, newClient, (*soak).get},
	{"GET over HTTP/2", 4, newH2Client, (*soak).get},
	{"upload over HTTP/1.1", 2, newClient, (*soak).upload},
	{"upload over HTTP/2", 2, newH2Client, (*soak).upload},
	{"stream", 4, newH2Client, (*soak).stream},
	{"WebSocket", 2, newClient, (*soak).socket},
	{"reset upload", 1, newClient, (*soak).resetUpload},
}

func newH2Client(t testing.TB) *http.Client {
	c := newClient(t)
	tr := c.Transport.(*http.Transport)
	tr.Protocols = new(http.Protocols)
	tr.Protocols.SetUnencryptedHTTP2(true)
	return c
}

var soakNonces atomic.Int64

// exchange is one request of TestSoak.
type soakExchange struct {
	k     *soak
	kind  string
	nonce string
	began time.Time
	pool  *spells
	ctx   context.Context // which ends it when it hangs
	leave func()          // ends ctx

	fresh  atomic.Bool // it is the first of its connection
	hinted atomic.Bool // an interim answer was another request's

	// aborted says that the client, or the backend by the client's order, broke it off.
	aborted bool
}

func (k *soak) begin(kind string, pool []*Backend) *soakExchange {
	x := &soakExchange{k: k, kind: kind, began: time.Now(), pool: k.deaths[pool[0]]}
	x.nonce = fmt.Sprintf("n%d-", soakNonces.Add(1))
	x.ctx, x.leave = context.WithTimeout(context.Background(), patience())
	return x
}

func (x *soakExchange) request(method, path string, body io.Reader) *http.Request {
	ctx := httptrace.WithClientTrace(x.ctx, &httptrace.ClientTrace{
		GotConn: func(i httptrace.GotConnInfo) { x.fresh.Store(!i.Reused) },
		Got1xxResponse: func(code int, header textproto.MIMEHeader) error {
			if code == http.StatusEarlyHints && header.Get("Link") != "<"+x.nonce+">" {
				x.hinted.Store(true)
			}
			return nil
		},
	})
	req, err := http.NewRequestWithContext(ctx, method, x.k.URL("PORT", path), body)
	if err != nil {
		panic(err)
	}
	return req
}

// end notes how it went. An answer is wrong when it is not what was asked for; that is never
// excused.
func (x *soakExchange) end(err error, wrong string) {
	k := x.k
	if x.hinted.Load() {
		wrong = "it got an interim answer of another request"
	}
	excuse := ""
	switch {
	case wrong != "" || err == nil:
	case x.ctx.Err() == context.DeadlineExceeded:
		wrong = fmt.Sprintf("it hung: %v", err)
	case x.aborted:
		excuse = "aborted"
	case x.pool.since(x.began):
		excuse = "a backend died"
	case x.kind == "WebSocket" && k.reloads.since(x.began):
		excuse = "a reload closed it"
	case x.fresh.Load() && k.reloads.since(x.began) && lostConnection(err):
		excuse = "it was in the queue of a listener that closed"
	case k.reloads.since(x.began) && unseenByServer(err):
		excuse = "a reload closed its HTTP/2 connection as it was sent"
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case wrong != "":
		k.faults = append(k.faults, fmt.Sprintf("%s %s: %s", x.kind, x.nonce, wrong))
	case err == nil:
		k.done[x.kind]++
	case excuse != "":
		k.excused[x.kind+": "+excuse]++
	default:
		k.faults = append(k.faults, fmt.Sprintf("%s %s, reload %v, new connection %v: %v",
			x.kind, x.nonce, k.reloads.since(x.began), x.fresh.Load(), err))
	}
}

// unseenByServer reports whether the client knows that an HTTP/2 server has not processed its request,
// but cannot send the body again.
func unseenByServer(err error) bool {
	return strings.Contains(err.Error(), "GOAWAY") || strings.Contains(err.Error(), "cannot rewind body after connection loss")
}

// answer reads an answer to its end. err is that there is none, wrong that it is not this
// request's.
func (x *soakExchange) answer(res *http.Response, err error) (body, wrong string, _ error) {
	if err != nil {
		return "", "", err
	}
	defer res.Body.Close()
	switch {
	case res.StatusCode >= 502 && res.StatusCode <= 504:
		return "", "", fmt.Errorf("status %d", res.StatusCode)
	case res.StatusCode != http.StatusOK:
		return "", fmt.Sprintf("status %d", res.StatusCode), nil
	case res.Header.Get("X-Nonce") != x.nonce:
		return "", fmt.Sprintf("it got the answer to %q", res.Header.Get("X-Nonce")), nil
	}
	text, err := io.ReadAll(res.Body)
	return string(text), "", err
}

// get asks for a body, often after interim answers, and often leaves before the end.
func (k *soak) get(kind string, c *http.Client) {
	x := k.begin(kind, k.web)
	defer x.leave()
	size := rand.IntN(30000)
	path := fmt.Sprintf("/get?nonce=%s&size=%d&hints=%d", x.nonce, size, rand.IntN(4)*rand.IntN(4))
	switch rand.IntN(8) {
	case 0, 1, 2:
		x.aborted = true
		time.AfterFunc(time.Duration(rand.IntN(4000))*time.Microsecond, x.leave)
	case 3:
		x.aborted = true
		path += "&abort"
	}
	res, err := c.Do(x.request(http.MethodGet, path, http.NoBody))
	body, wrong, err := x.answer(res, err)
	switch {
	case err == nil && wrong == "" && body != soakBody(x.nonce, size):
		wrong = fmt.Sprintf("%d bytes of %d, complete for the client", len(body), size)
	case err == nil && strings.HasSuffix(path, "abort") && size > 0:
		wrong = "an answer that broke off was complete"
	}
	x.end(err, wrong)
}

// upload sends a body, with a length or without, and mostly asks whether it may.
func (k *soak) upload(kind string, c *http.Client) {
	x := k.begin(kind, k.web)
	defer x.leave()
	text := soakBody(x.nonce, 1+rand.IntN(150000))
	var body io.Reader = strings.NewReader(text)
	if rand.IntN(2) == 0 {
		body = io.MultiReader(body)
	}
	req := x.request(http.MethodPost, "/upload?nonce="+x.nonce, body)
	if rand.IntN(3) > 0 {
		req.Header.Set("Expect", "100-continue")
	}
	res, err := c.Do(req)
	got, wrong, err := x.answer(res, err)
	if sum := sha256.Sum256([]byte(text)); err == nil && wrong == "" && got != hex.EncodeToString(sum[:]) {
		wrong = fmt.Sprintf("the backend got another body than the %d bytes that were sent, Expect %q", len(text), req.Header.Get("Expect"))
	}
	x.end(err, wrong)
}

// stream sends lines and gets each back before it sends the next, as gRPC's calls in both
// directions do. Half of them are broken off, by either end.
func (k *soak) stream(kind string, c *http.Client) {
	x := k.begin(kind, k.streams)
	defer x.leave()
	in, out := io.Pipe()
	defer in.Close()
	// A client of net/http that waits for its body takes no notice of the context.
	context.AfterFunc(x.ctx, func() { in.CloseWithError(x.ctx.Err()) })
	req := x.request(http.MethodPost, fmt.Sprintf("/stream?nonce=%s&hints=%d", x.nonce, rand.IntN(4)), in)
	req.Header.Set("Content-Type", "application/grpc")
	req.Header.Set("TE", "trailers")
	abort := rand.IntN(4)
	if x.aborted = abort < 2; abort == 0 {
		time.AfterFunc(time.Duration(rand.IntN(5000))*time.Microsecond, x.leave)
	}
	res, err := c.Do(req)
	if err == nil && res.StatusCode == http.StatusOK {
		defer res.Body.Close()
		var wrong string
		wrong, err = x.talk(res, out, abort == 1)
		x.end(err, wrong)
		return
	}
	_, wrong, err := x.answer(res, err)
	x.end(err, wrong)
}

// talk sends the lines of a stream. abort has the backend break it off.
func (x *soakExchange) talk(res *http.Response, out *io.PipeWriter, abort bool) (wrong string, _ error) {
	if got := res.Header.Get("X-Nonce"); got != x.nonce {
		return fmt.Sprintf("it got the stream of %q", got), nil
	}
	lines := bufio.NewReader(res.Body)
	for i := range rand.IntN(10) {
		line := fmt.Sprint(x.nonce, i, soakBody(x.nonce, rand.IntN(2000)), "\n")
		if _, err := io.WriteString(out, line); err != nil {
			return "", err
		}
		switch got, err := lines.ReadString('\n'); {
		case err == io.EOF:
			return "it ended before its time", nil
		case err != nil:
			return "", err
		case got != line:
			return fmt.Sprintf("%q came back as %q", line, got), nil
		}
	}
	if abort {
		if _, err := io.WriteString(out, "abort\n"); err != nil {
			return "", err
		}
	} else {
		out.Close()
	}
	switch rest, err := io.ReadAll(lines); {
	case err != nil:
		return "", err
	case abort:
		return "a stream that broke off ended as if it were complete", nil
	case len(rest) > 0 || res.Trailer.Get("Grpc-Status") != "0" || res.Trailer.Get("Grpc-Message") != x.nonce:
		return fmt.Sprintf("it ended with %q and %v", rest, res.Trailer), nil
	}
	return "", nil
}
