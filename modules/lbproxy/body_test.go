package lbproxy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"
)

// chunkReader gives its chunks one by one, and then err.
type chunkReader struct {
	chunks []string
	err    error
}

func (r *chunkReader) Read(p []byte) (int, error) {
	if len(r.chunks) == 0 {
		return 0, r.err
	}
	n := copy(p, r.chunks[0])
	if r.chunks[0] = r.chunks[0][n:]; r.chunks[0] == "" {
		r.chunks = r.chunks[1:]
	}
	return n, nil
}

func (*chunkReader) Close() error { return nil }

func TestBodyGivesEveryTryTheWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		chunks := rapid.SliceOfN(rapid.StringN(1, 40, -1), 0, 10).Draw(t, "chunks")
		whole := strings.Join(chunks, "")
		limit := rapid.IntRange(0, 200).Draw(t, "limit")
		b := newRequestBody(httptest.NewRecorder(), new(http.Request), &chunkReader{chunks: chunks, err: io.EOF}, limit)
		defer b.release(atOnce)
		for range rapid.IntRange(1, 4).Draw(t, "tries") {
			if !b.replayable() {
				break
			}
			r := b.reader(nil)
			var got bytes.Buffer
			_, _ = io.CopyN(&got, r, int64(rapid.IntRange(0, len(whole)).Draw(t, "read")))
			if !strings.HasPrefix(whole, got.String()) {
				t.Fatalf("a try read %q of %q", got.String(), whole)
			}
		}
		if !b.replayable() {
			return
		}
		got, err := io.ReadAll(b.reader(nil))
		if err != nil || string(got) != whole {
			t.Fatalf("got %q, %v, want %q", got, err, whole)
		}
	})
}

func TestBodyLongerThanWhatIsKept(t *testing.T) {
	b := newRequestBody(httptest.NewRecorder(), new(http.Request), &chunkReader{chunks: []string{"12345", "67890"}, err: io.EOF}, 8)
	r := b.reader(nil)
	buf := make([]byte, 5)
	if n, err := r.Read(buf); n != 5 || err != nil || !b.replayable() {
		t.Fatalf("%d, %v, replayable %v", n, err, b.replayable())
	}
	if n, err := r.Read(buf); n != 5 || err != nil || b.replayable() {
		t.Fatalf("%d, %v, replayable %v", n, err, b.replayable())
	}
	if n, err := r.Read(buf); n != 0 || err != io.EOF {
		t.Fatalf("%d, %v", n, err)
	}
}

// A transport may be stuck in a read of the client's body when its try is over. What that read gets belongs to
// the try after it.
func TestBodyReadThatIsUnderWayIsNotLost(t *testing.T) {
	src, client := io.Pipe()
	b := newRequestBody(httptest.NewRecorder(), new(http.Request), src, 4)
	old := b.reader(nil)
	oldRead := make(chan struct{})
	started := make(chan struct{})
	go func() {
		close(started)
		_, _ = old.Read(make([]byte, 100))
		close(oldRead)
	}()
	<-started
	next := b.reader(nil)
	go func() {
		_, _ = io.WriteString(client, "all of the body")
		client.Close()
	}()
	got, err := io.ReadAll(next)
	if err != nil || string(got) != "all of the body" {
		t.Errorf("got %q, %v", got, err)
	}
	<-oldRead
	if n, err := old.Read(make([]byte, 1)); n != 0 || !errors.Is(err, errSuperseded) {
		t.Errorf("the old try goes on reading: %d, %v", n, err)
	}
}

func TestRequestBuffers(t *testing.T) {
	b := startBackend(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprint(w, r.ContentLength, " ", r.TransferEncoding, " ", len(body))
	})
	p := startProxy(t, upstreams(b.URL)+`,"request_buffers":10`)
	for size, want := range map[int]string{
		0: "0 [] 0", 9: "9 [] 9", 10: "10 [] 10", 11: "-1 [chunked] 11", 100000: "-1 [chunked] 100000",
	} {
		// A body of unknown length.
		r := p.send("POST", "/", io.MultiReader(strings.NewReader(strings.Repeat("x", size))))
		if r.body != want {
			t.Errorf("%d bytes: %s, want %s", size, r.body, want)
		}
	}
}

func TestRequestBuffersReplay(t *testing.T) {
	const size = 200_000 // more than is kept without request_buffers
	good := startBackend(t, func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n)
	})
	for buffers, want := range map[string]int{"": 502, `,"request_buffers":200000`: 200, `,"request_buffers":-1`: 200} {
		t.Run(buffers, func(t *testing.T) {
			var tries atomic.Int32
			p := startProxy(t, upstreams(resetting(t, &tries), good.URL)+buffers+
				`,"load_balancing":{"selection_policy":{"policy":"first"},"retries":1,"retry_match":[{"method":["POST"]}]}`)
			r := p.send("POST", "/", strings.NewReader(strings.Repeat("x", size)))
			if r.status != want || (want == 200 && r.body != fmt.Sprint(size)) {
				t.Errorf("got %d %q, want %d", r.status, r.body, want)
			}
		})
	}
}

func TestBodyOverTheLimitIs413(t *testing.T) {
	b := startBackend(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	for _, buffers := range []string{"", `,"request_buffers":1000`, `,"request_buffers":-1`} {
		p := startProxy(t, upstreams(b.URL)+`,"health_checks":{"passive":{"fail_duration":"1h"}}`+buffers,
			serverOptions{before: `{"handler":"request_body","max_size":10}`})
		r := p.send("POST", "/", io.MultiReader(strings.NewReader("more than ten bytes")))
		if r.status != 413 {
			t.Errorf("%s: status %d", buffers, r.status)
		}
		if n := recentFails(runningPools()[0].Snapshot().Members[0]); n != 0 {
			t.Errorf("%s: %d strikes", buffers, n)
		}
	}
}

// The backend closes an idle connection as the next request comes. net/http sends a request again by itself when
// nothing of it was written, given that the body can begin anew.
func TestBodyCanBeginAnew(t *testing.T) {
	ex := &exchange{h: &Handler{ways: new(transports)}, in: new(http.Request)}
	ex.body = newRequestBody(httptest.NewRecorder(), ex.in, io.NopCloser(strings.NewReader("body")), keepBytes)
	a := &attempt{ex: ex, req: new(http.Request)}
	a.attachBody()
	_, _ = a.req.Body.Read(make([]byte, 2))
	again, err := a.req.GetBody()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(again); err != nil || string(got) != "body" {
		t.Errorf("got %q, %v", got, err)
	}
	ex.body.release(atOnce)
	if _, err := a.req.GetBody(); err == nil {
		t.Error("a body that is gone begins anew")
	}
}
