package h1server

import (
	"net/http"
	"testing"
	"time"
)

// A client that is told that the connection ends may be sending still. A reset would take the answer from it (RFC 9112, section 9.6).
func TestClientsMaySendAfterTheAnswer(t *testing.T) {
	for name, request := range map[string]string{
		"last request": "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 4000\r\n\r\nb",
		"large body":   "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4000000\r\n\r\nb",
		"expectation":  "POST / HTTP/1.1\r\nHost: a\r\nExpect: a\r\nContent-Length: 4000\r\n\r\nb",
		"no request":   "POST / HTTP/1.1\r\n\r\nb",
	} {
		t.Run(name, func(t *testing.T) {
			site, _ := adopting(t, false, http.HandlerFunc(text), Options{})
			c := site.dialAdopted(t)
			c.send(request)
			c.answer()
			for range 10 {
				c.send("b")
				time.Sleep(5 * time.Millisecond) // for a reset to come
			}
			c.Close()
		})
	}
}
