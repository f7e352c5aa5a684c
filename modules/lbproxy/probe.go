package lbproxy

import (
	"io"
	"time"
)

// probeTime is how long the beginning of a body is waited for that is probably none, as long as net/http's transport
// waits for it.
const probeTime = 200 * time.Millisecond

// probablyEmpty reports whether the request has a body only as far as is known: HTTP/3 does not say with the header of a
// GET that nothing follows. Sent in chunks, such a body is more than many backends take.
func (ex *exchange) probablyEmpty() bool {
	return ex.out.ContentLength < 0 && len(ex.in.Trailer) == 0 && !mayHaveContent(ex.out) && !expectsContinue(ex.out.Header)
}

// probe reads the beginning of the body, unless that takes longer than limit, and reports whether it ends there. What was
// read is kept for the tries.
func (b *requestBody) probe(limit time.Duration) (empty bool) {
	done := make(chan bool, 1)
	r := b.reader(nil)
	go func() {
		var first [1]byte
		n, err := r.Read(first[:])
		done <- n == 0 && err == io.EOF
	}()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case empty = <-done:
		return empty
	case <-timer.C:
		return false
	}
}
