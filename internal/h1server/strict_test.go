package h1server

import (
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
)

// smuggled follows a request, of which it is a part for somebody.
const smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"

// strictSite is a site whose handler answers 400 to a body that it cannot read, and counts what was
// smuggled.
func strictSite(t *testing.T, secure bool) (*site, *atomic.Int64) {
	var count atomic.Int64
	site, _ := adopting(t, secure, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/smuggled" {
			count.Add(1)
		}
		if _, err := io.ReadAll(r.Body); err != nil {
			w.WriteHeader(http.StatusBadRequest)
		}
	}), Options{})
	return site, &count
}

// onBoth has f try a request as the first one of a connection, and as a later one, with and without
// TLS.
func onBoth(t *testing.T, f func(t *testing.T, c *client, smuggled *atomic.Int64)) {
	for _, transport := range transports {
		site, count := strictSite(t, transport.secure)
		t.Run(transport.name+", first", func(t *testing.T) { f(t, site.dial(t), count) })
		t.Run(transport.name+", later", func(t *testing.T) { f(t, site.dialAdopted(t), count) })
	}
}

func TestMalformedChunksAreRefused(t *testing.T) {
	for name, chunks := range map[string]string{
		"bare LF behind a size":       "4\nbody\r\n0\r\n\r\n",
		"bare LF behind a chunk":      "4\r\nbody\n0\r\n\r\n",
		"bare LF for no trailers":     "0\r\n\n",
		"bare LF behind a trailer":    "0\r\nX: y\n\r\n",
		"bare LF twice":               "0\r\nX: y\n\n",
		"bare LF behind trailers":     "0\r\nX: y\r\n\n",
		"a trailer begins with space": "0\r\n X: y\r\n\r\n",
		"a trailer begins with tab":   "0\r\n\tX: y\r\n\r\n",
		"a trailer goes on":           "0\r\nX: y\r\n z\r\n\r\n",
		"space behind a name":         "3\r\nabc\r\n0\r\nX : y\r\n\r\n",
		"space in a name":             "0\r\nX Y: y\r\n\r\n",
		"no name":                     "0\r\n: y\r\n\r\n",
		"no colon":                    "0\r\nX\r\n\r\n",
		"a name not of ASCII":         "0\r\nX\xe9: y\r\n\r\n",
		"NUL in a trailer":            "0\r\nX: \x00\r\n\r\n",
		"bare CR in a trailer":        "0\r\nX: a\rb\r\n\r\n",
		"a trailer without CR":        "0\r\nX: y\r\rZ: z\r\n\r\n",
		"no size":                     "\r\n0\r\n\r\n",
		"a size of 2^64":              "10000000000000000\r\n\r\n0\r\n\r\n",
		"extension with CR":           "4;a\rb\r\nbody\r\n0\r\n\r\n",
		"long extensions":             strings.Repeat("1;"+strings.Repeat("x", 1000)+"\r\na\r\n", 20) + "0\r\n\r\n",
		"a long line":                 "1;" + strings.Repeat("x", 5000) + "\r\na\r\n0\r\n\r\n",
		"long trailers":               "0\r\n" + strings.Repeat("X: y\r\n", 1000) + "\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			onBoth(t, func(t *testing.T, c *client, smugglings *atomic.Int64) {
				_, _ = io.WriteString(c, chunkedHead+chunks+smuggled)
				if res, _ := c.answer(); res.StatusCode != http.StatusBadRequest || !res.Close {
					t.Errorf("status %d, close %v, want 400 and the connection's end", res.StatusCode, res.Close)
				}
				c.expectClosed()
				if smugglings.Load() > 0 {
					t.Error("what follows was served")
				}
			})
		})
	}
}

// A client may send one octet at a time.
func TestWellFormedChunksAreTaken(t *testing.T) {
	for name, chunks := range map[string]string{
		"none":      "0\r\n\r\n",
		"trailers":  "4\r\nbody\r\n0\r\nX: y\r\nx: z\r\n\r\n",
		"bws":       "4 ; a=b\r\nbody\r\n0 ;c\r\n\r\n",
		"extension": "4;a=\"b c\"\r\nbody\r\n00\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			onBoth(t, func(t *testing.T, c *client, _ *atomic.Int64) {
				c.send(chunkedHead)
				for i := range len(chunks) {
					c.send(chunks[i : i+1])
				}
				if res, _ := c.answer(); res.StatusCode != http.StatusOK || res.Close {
					t.Errorf("status %d, close %v", res.StatusCode, res.Close)
				}
				if res, _ := c.get("/next"); res.StatusCode != http.StatusOK {
					t.Errorf("then status %d", res.StatusCode)
				}
			})
		})
	}
}

func TestAmbiguousRequestsEndTheConnection(t *testing.T) {
	body := "0\r\n\r\n" + smuggled
	length := "Content-Length: " + itoa(len(body))
	for name, lines := range map[string]string{
		"length first":         "HTTP/1.1\r\nHost: a\r\n" + length + "\r\nTransfer-Encoding: chunked\r\n\r\n",
		"coding first":         "HTTP/1.1\r\nTransfer-Encoding: chunked\r\nHost: a\r\n" + length + "\r\n\r\n",
		"upper case":           "HTTP/1.1\r\nHost: a\r\nCONTENT-LENGTH: 5\r\nTRANSFER-ENCODING: CHUNKED\r\n\r\n",
		"folded":               "HTTP/1.1\r\nHost: a\r\n" + length + "\r\nTransfer-Encoding:\r\n chunked\r\n\r\n",
		"bare LF":              "HTTP/1.1\nHost: a\n" + length + "\nTransfer-Encoding: chunked\n\n",
		"nominated":            "HTTP/1.1\r\nHost: a\r\nConnection: content-length\r\n" + length + "\r\nTransfer-Encoding: chunked\r\n\r\n",
		"a length that is bad": "HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n" + length + "\r\n" + length + "\r\n\r\n",
		"with an expectation":  "HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n" + length + "\r\nTransfer-Encoding: chunked\r\n\r\n",
		"HTTP/1.0":             "HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
		"HTTP/1.0, no length":  "HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			onBoth(t, func(t *testing.T, c *client, smugglings *atomic.Int64) {
				_, _ = io.WriteString(c, "POST /main "+lines+body)
				res, _ := c.answer()
				for res.StatusCode == http.StatusContinue {
					res, _ = c.answer()
				}
				if res.StatusCode == http.StatusOK && !res.Close {
					t.Error("the answer does not tell of the connection's end")
				}
				c.expectClosed()
				if smugglings.Load() > 0 {
					t.Error("what follows was served")
				}
			})
		})
	}
}

// A head that came in pieces is not there any more as a whole when its connection is taken over.
func TestAmbiguousFirstRequestInPieces(t *testing.T) {
	for _, transport := range transports {
		t.Run(transport.name, func(t *testing.T) {
			site, smugglings := strictSite(t, transport.secure)
			c := site.dial(t)
			for _, piece := range strings.SplitAfter("POST /main HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"+smuggled, "\n") {
				_, _ = io.WriteString(c, piece)
			}
			if res, _ := c.answer(); res.StatusCode != http.StatusOK || !res.Close {
				t.Errorf("status %d, close %v", res.StatusCode, res.Close)
			}
			c.expectClosed()
			if smugglings.Load() > 0 {
				t.Error("what follows was served")
			}
		})
	}
}

// A server of net/http that nobody takes over from ends connections, too.
func TestEndAfter(t *testing.T) {
	site := newSite(t, false, nil, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		EndAfter(w, r)
		_, _ = io.Copy(io.Discard, r.Body)
	}))
	for request, ends := range map[string]bool{
		"GET / HTTP/1.1\r\nHost: a\r\n\r\n":                                       false,
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nb":                false,
		chunkedHead + "0\r\n\r\n":                                                 true,
		"POST / HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nb": true,
	} {
		c := site.dial(t)
		c.send(request)
		if res, _ := c.answer(); res.Close != ends {
			t.Errorf("%q: close %v", request, res.Close)
		}
	}
}
