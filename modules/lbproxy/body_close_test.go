package lbproxy

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// clientStream is a client's stream: a body that blocks until something comes, or until the read
// deadline, as servers have it.
type clientStream struct {
	*httptest.ResponseRecorder
	*io.PipeReader
	client *io.PipeWriter
	inside atomic.Int32
}

func newClientStream() *clientStream {
	r, w := io.Pipe()
	return &clientStream{ResponseRecorder: httptest.NewRecorder(), PipeReader: r, client: w}
}

func (s *clientStream) Read(p []byte) (int, error) {
	s.inside.Add(1)
	defer s.inside.Add(-1)
	return s.PipeReader.Read(p)
}

func (s *clientStream) SetReadDeadline(at time.Time) error {
	if !at.After(time.Now()) {
		_ = s.PipeReader.CloseWithError(errors.New("deadline"))
	}
	return nil
}

// blockedRead starts a read that finds nothing, and returns when it has reached the client's
// stream.
func (s *clientStream) blockedRead(t *testing.T, r io.Reader) <-chan error {
	t.Helper()
	ended := make(chan error, 1)
	go func() {
		_, err := r.Read(make([]byte, 100))
		ended <- err
	}()
	eventually(t, "read of the client's stream", func() bool { return s.inside.Load() == 1 })
	return ended
}

func endOf(t *testing.T, read <-chan error) error {
	t.Helper()
	select {
	case err := <-read:
		return err
	case <-time.After(patience):
		t.Fatal("the read does not end")
		return nil
	}
}

// A transport closes the body of a try that is over, and waits for its own read. The body is there
// for the next try.
func TestClosedReaderLeavesTheBodyToTheNextTry(t *testing.T) {
	s := newClientStream()
	b := newRequestBody(s, new(http.Request), s, keepBytes)
	first := b.readerApart(nil)
	read := s.blockedRead(t, first)
	_ = first.Close()
	if err := endOf(t, read); !errors.Is(err, errSuperseded) {
		t.Errorf("the closed reader got %v", err)
	}
	if !b.reclaim() {
		t.Fatal("the body is lost")
	}
	second := b.readerApart(nil)
	go func() {
		_, _ = io.WriteString(s.client, "the whole ")
		_, _ = io.WriteString(s.client, "of the body")
		s.client.Close()
	}()
	if got, err := io.ReadAll(second); err != nil || string(got) != "the whole of the body" {
		t.Errorf("the next try got %q, %v", got, err)
	}
	b.release(atOnce)
}

// A reader that reads the client's stream itself is let go by ending that.
func TestClosedReaderCutsTheBodyItReads(t *testing.T) {
	s := newClientStream()
	b := newRequestBody(s, new(http.Request), s, keepBytes)
	r := b.reader(nil)
	read := s.blockedRead(t, r)
	_ = r.Close()
	if err := endOf(t, read); !errors.Is(err, errSuperseded) {
		t.Errorf("the closed reader got %v", err)
	}
	if b.replayable() || b.reclaim() || b.complete() {
		t.Error("the body counts as whole")
	}
	if err := b.failure(); err != nil {
		t.Errorf("the client is blamed: %v", err)
	}
}

// Between reads, closing costs nothing.
func TestClosedReaderBetweenReads(t *testing.T) {
	s := newClientStream()
	b := newRequestBody(s, new(http.Request), s, keepBytes)
	r := b.reader(nil)
	go func() {
		_, _ = io.WriteString(s.client, "begin")
		_, _ = io.WriteString(s.client, ", end")
		s.client.Close()
	}()
	if n, err := r.Read(make([]byte, 5)); n != 5 || err != nil {
		t.Fatal(n, err)
	}
	_ = r.Close()
	if !b.reclaim() {
		t.Fatal("the body is lost")
	}
	if got, err := io.ReadAll(b.reader(nil)); err != nil || string(got) != "begin, end" {
		t.Errorf("the next try got %q, %v", got, err)
	}
}

// Nobody reads the client's stream when the handler has returned.
func TestReleaseEndsTheReadUnderWay(t *testing.T) {
	for name, reader := range map[string]func(*requestBody) *bodyReader{
		"apart":  func(b *requestBody) *bodyReader { return b.readerApart(nil) },
		"itself": func(b *requestBody) *bodyReader { return b.reader(nil) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newClientStream()
			b := newRequestBody(s, new(http.Request), s, keepBytes)
			read := s.blockedRead(t, reader(b))
			if !b.release(atOnce) {
				t.Error("there was a read to end")
			}
			if s.inside.Load() != 0 {
				t.Error("the client's stream is still read")
			}
			if err := endOf(t, read); err == nil {
				t.Error("the read succeeded")
			}
		})
	}
}

// Tries come and go as they like, each closed at any moment or just left behind; what a later one
// can read is the whole.
func TestBodyOverTriesThatAreClosed(t *testing.T) {
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
			r := b.readerApart(nil)
			var got bytes.Buffer
			_, _ = io.CopyN(&got, r, int64(rapid.IntRange(0, len(whole)).Draw(t, "read")))
			if !strings.HasPrefix(whole, got.String()) {
				t.Fatalf("a try read %q of %q", got.String(), whole)
			}
			if rapid.Bool().Draw(t, "reading") {
				go func() { _, _ = r.Read(make([]byte, 50)) }()
			}
			if rapid.Bool().Draw(t, "closed") {
				_ = r.Close()
			}
			if !b.reclaim() {
				return
			}
		}
		if !b.replayable() {
			return
		}
		got, err := io.ReadAll(b.readerApart(nil))
		if err != nil || string(got) != whole {
			t.Fatalf("got %q, %v, want %q", got, err, whole)
		}
	})
}

// What is read apart does not have to be kept, however long it is.
func TestLongBodyReadApart(t *testing.T) {
	whole := strings.Repeat("0123456789abcdef", 50_000)
	b := newRequestBody(httptest.NewRecorder(), new(http.Request), io.NopCloser(strings.NewReader(whole)), keepBytes)
	got, err := io.ReadAll(b.readerApart(nil))
	if err != nil || string(got) != whole {
		t.Errorf("%d of %d bytes, %v", len(got), len(whole), err)
	}
	if b.replayable() || !b.complete() {
		t.Errorf("replayable %v, complete %v", b.replayable(), b.complete())
	}
	b.release(atOnce)
}
