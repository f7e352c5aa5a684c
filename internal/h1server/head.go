package h1server

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/caddylb/caddy-lb/internal/syntax"
)

// slop is by how much a header may exceed its limit, as with net/http.
const slop = 4 << 10

// readHead reads a request's head, with the empty line that ends it. It may be in the reader's buffer still, of which discard bytes are
// to be skipped then.
func (c *conn) readHead() (head []byte, discard int, err error) {
	p, _ := c.br.Peek(c.br.Buffered())
	if end := syntax.HeadEnd(p, 0); end > 0 {
		return p[:end], end, nil
	}
	c.disarm() // the wait for the request is over
	if limit := c.server.options.ReadHeaderTimeout; limit > 0 {
		_ = c.nc.SetReadDeadline(time.Now().Add(limit))
		defer c.disarm()
	}
	head, err = c.collectHead()
	return head, 0, err
}

// collectHead is readHead for a head that is not there yet or does not fit into the buffer.
func (c *conn) collectHead() ([]byte, error) {
	limit := c.server.options.MaxHeaderBytes + slop
	var head []byte
	var begun bool // the first line is there
	for {
		p, _ := c.br.Peek(c.br.Buffered())
		looked := len(head)
		head = append(head, p...)
		if end := syntax.HeadEnd(head, looked); end > 0 {
			_, _ = c.br.Discard(end - looked)
			if syntax.TooManyFields(head[:end]) { // none that fits into the buffer has
				return nil, errTooLarge
			}
			return head[:end], nil
		}
		_, _ = c.br.Discard(len(p))
		if len(head) >= limit {
			return nil, errTooLarge
		}
		if line := bytes.IndexByte(p, '\n'); line >= 0 && !begun {
			begun = true
			// A client that does not speak HTTP may wait for an answer to its first line.
			if err := checkLine(head[:looked+line]); err != nil {
				return nil, err
			}
		}
		if _, err := c.br.Peek(1); err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
}

// checkLine looks at a request line.
func checkLine(line []byte) error {
	_, err := http.ReadRequest(bufio.NewReader(io.MultiReader(bytes.NewReader(line), strings.NewReader("\nHost: a\n\n"))))
	return err
}

// maxAnnounced is how many trailers a head may announce: each name costs net/http a map's entry,
// however short it is.
const maxAnnounced = 1000

// parseWithNetHTTP has the head read by net/http, and makes the checks of its server.
func (x *exchange) parseWithNetHTTP(head []byte) error {
	announced := 0
	for _, list := range fieldValues(head, "Trailer") {
		announced += strings.Count(list, ",")
	}
	if announced > maxAnnounced {
		return errTooLarge
	}
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(head)))
	if err != nil {
		return err
	}
	if err := checkRequest(r, fieldValues(head, "Host")); err != nil {
		return err
	}
	c := x.c
	x.req = r.WithContext(x.req.Context())
	x.req.RemoteAddr, x.req.TLS = c.remoteAddr, c.tls
	x.setBody()
	x.http10 = r.ProtoMinor == 0
	x.keepAlive10 = x.http10 && httpguts.HeaderValuesContainsToken(r.Header["Connection"], "keep-alive")
	x.wantsClose = r.Close || isAmbiguous(r, head)
	return nil
}

// isAmbiguous reports whether a head gives a body's length in two ways, of which somebody on the way may have taken the other one. The
// connection must end with such a request (RFC 9112, section 6.1). net/http's parser deletes the field that it does not follow.
func isAmbiguous(r *http.Request, head []byte) bool {
	switch {
	case r.ContentLength < 0:
		return len(fieldValues(head, "Content-Length")) > 0
	case r.ProtoMinor == 0:
		return len(fieldValues(head, "Transfer-Encoding")) > 0
	}
	return false
}

// fieldValues are the values of a head's fields of this name, which net/http's parser may have deleted.
func fieldValues(head []byte, name string) []string {
	var values []string
	var value []byte // of the field that may go on
	found := false
	for line := range bytes.Lines(head) {
		line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
		if found && len(line) > 0 && (line[0] == ' ' || line[0] == '\t') {
			value = append(append(value, ' '), bytes.Trim(line, " \t")...) // RFC 9112, section 5.2
			continue
		}
		if found {
			values = append(values, string(value))
		}
		field, rest, ok := bytes.Cut(line, []byte(":"))
		if found = ok && strings.EqualFold(string(field), name); found {
			value = append(value[:0], bytes.Trim(rest, " \t")...)
		}
	}
	if found {
		values = append(values, string(value))
	}
	return values
}

func checkRequest(r *http.Request, hosts []string) error {
	switch {
	case r.ProtoMajor != 1:
		return errVersion
	case r.ProtoMinor >= 1 && len(hosts) == 0 && r.Method != http.MethodConnect:
		return errNoHost
	case len(hosts) == 1 && !httpguts.ValidHostHeader(hosts[0]):
		return errBadHost
	}
	for name, values := range r.Header {
		if !httpguts.ValidHeaderFieldName(name) {
			return errBadName
		}
		for _, v := range values {
			if !httpguts.ValidHeaderFieldValue(v) {
				return errBadValue
			}
		}
	}
	return nil
}
