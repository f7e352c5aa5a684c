package caddytest

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// serveSoak is what the backends of TestSoak do. Each answer has the nonce of its request.
func serveSoak(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	nonce := query.Get("nonce")
	header := w.Header()
	header.Set("X-Nonce", nonce)
	if hints, _ := strconv.Atoi(query.Get("hints")); hints > 0 {
		header.Set("Link", "<"+nonce+">")
		// Go's HTTP/2 server encodes the header of an interim answer on another goroutine. It takes a
		// copy of one with this field.
		header["Content-Length"] = nil
		for range hints {
			w.WriteHeader(http.StatusEarlyHints)
		}
		delete(header, "Content-Length")
		delete(header, "Link")
	}
	switch r.URL.Path {
	case "/get":
		answerSoak(w, query.Get("size"), nonce, query.Has("abort"))
	case "/upload":
		sum := sha256.New()
		_, _ = io.Copy(sum, r.Body)
		_, _ = io.WriteString(w, hex.EncodeToString(sum.Sum(nil)))
	case "/stream":
		streamSoak(w, r, nonce)
	case "/socket":
		if c, err := websocket.Accept(w, r, nil); err == nil {
			defer c.CloseNow()
			_ = echoMessages(context.WithoutCancel(r.Context()), c) // its end is the client's affair
		}
	}
}

// answerSoak writes a body in pieces. To abort breaks it off.
func answerSoak(w http.ResponseWriter, size, nonce string, abort bool) {
	n, _ := strconv.Atoi(size)
	if n%2 == 0 {
		w.Header().Set("Content-Length", size)
	}
	body := soakBody(nonce, n)
	for len(body) > 0 {
		piece := body[:min(len(body), 5000)]
		body = body[len(piece):]
		if len(body) == 0 && abort {
			panic(http.ErrAbortHandler)
		}
		if _, err := io.WriteString(w, piece); err != nil {
			return
		}
		_ = http.NewResponseController(w).Flush()
	}
}

// soakBody is a body of n bytes that no other request has.
func soakBody(nonce string, n int) string { return strings.Repeat(nonce, n/len(nonce)+1)[:n] }

// streamSoak sends every line back as it comes, and the nonce in a trailer at the end.
func streamSoak(w http.ResponseWriter, r *http.Request, nonce string) {
	w.Header().Set("Trailer", "Grpc-Status, Grpc-Message")
	flush := http.NewResponseController(w).Flush
	_ = flush()
	for lines := bufio.NewReader(r.Body); ; {
		line, err := lines.ReadString('\n')
		if err == io.EOF {
			break
		}
		if err != nil || line == "abort\n" {
			panic(http.ErrAbortHandler)
		}
		_, _ = io.WriteString(w, line)
		_ = flush()
	}
	w.Header().Set("Grpc-Status", "0")
	w.Header().Set("Grpc-Message", nonce)
}

// spells are the stretches of time in which something happens that may break an exchange.
type spells struct {
	mu    sync.Mutex
	now   int       // under way
	until time.Time // end of the last
}

// aftermath is how long after a spell a connection that it ended may not have been found closed.
const aftermath = 300 * time.Millisecond

func (s *spells) during(f func()) {
	s.mu.Lock()
	s.now++
	s.mu.Unlock()
	f()
	s.mu.Lock()
	s.now--
	s.until = time.Now()
	s.mu.Unlock()
}

// since reports whether there was one from then until now.
func (s *spells) since(then time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now > 0 || s.until.Add(aftermath).After(then)
}
