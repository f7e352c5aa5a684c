package h1server

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/caddylb/caddy-lb/internal/syntax"
)

// fields is an answer's header on its way to the client. It is open from WriteHeader, when what the handler set is taken, until the
// body's first bytes, its length, or the need to send it are there, and only then gets what depends on these.
type fields struct {
	closed bool

	hasType, hasEncoding, hasDate, hasLength, hasTrailers bool
	coding                                                string   // Transfer-Encoding as the handler set it
	connection                                            []string // and Connection
}

type field struct {
	name   string
	values []string
}

// sorted is a header's fields by name, so that equal answers are equal on the wire. It holds until it is called again.
func (c *conn) sorted(header http.Header) []field {
	list := c.sorting[:0]
	for name, values := range header {
		list = append(list, field{name, values})
	}
	slices.SortFunc(list, func(a, b field) int { return strings.Compare(a.name, b.name) })
	return list
}

// openHeader takes the status and the header as they are now.
func (x *exchange) openHeader() {
	f, out := &x.fields, x.buffer()
	b := appendStatusLine(*out, x.http10, x.status)
	for _, fd := range x.c.sorted(x.header) {
		switch fd.name {
		case "Content-Length":
			f.hasLength = true
			continue
		case "Transfer-Encoding":
			if len(fd.values) > 0 {
				f.coding = fd.values[0]
			}
			continue
		case "Connection":
			f.connection = slices.Clone(fd.values)
			continue
		case "Content-Type":
			f.hasType = true
			if x.status == http.StatusNotModified {
				continue
			}
		case "Content-Encoding":
			f.hasEncoding = len(fd.values) > 0 && fd.values[0] != ""
		case "Date":
			f.hasDate = true
		case "Trailer":
			f.hasTrailers = true
			x.declareTrailers(fd.values)
		}
		if strings.HasPrefix(fd.name, http.TrailerPrefix) {
			f.hasTrailers = true
			continue
		}
		b = appendField(b, fd.name, fd.values)
	}
	*out = b
	clear(x.c.sorting[:])
	if x.isSettled() && (x.body.isRead() || x.fullDuplex) {
		x.closeHeader()
	}
}

// isSettled reports whether the header depends on nothing that is to come.
func (x *exchange) isSettled() bool {
	f := &x.fields
	return !allowsBody(x.status) || x.contentLength == 0 || x.contentLength > 0 && (f.hasType || f.hasEncoding || f.coding != "")
}

// closeHeader adds what is not the handler's to decide: how the body ends (RFC 9112, section 6) and whether the connection does (section
// 9.6). The header is in the buffer then. The rules are those of net/http's server.
func (x *exchange) closeHeader() {
	f := &x.fields
	if f.closed {
		return
	}
	f.closed = true
	var first []byte
	if x.pending != nil {
		first = *x.pending
	}
	bodied := allowsBody(x.status)
	if x.done.Load() && !f.hasTrailers && f.coding == "" && bodied && !f.hasLength && (x.req.Method != http.MethodHead || len(first) > 0) {
		x.contentLength = int64(len(first))
	}
	connection := x.decideConnection()
	b := *x.buffer()
	if bodied && !f.hasEncoding && !f.hasType && f.coding == "" && len(first) > 0 {
		b = append(append(append(b, "Content-Type: "...), http.DetectContentType(first)...), crlf...)
	}
	if !f.hasDate {
		b = append(append(append(b, "Date: "...), date()...), crlf...)
	}
	b = x.appendFraming(b, bodied)
	if x.closes && !isSwitch(x.status, x.header) {
		if !httpguts.HeaderValuesContainsToken(connection, "close") {
			upgrade := httpguts.HeaderValuesContainsToken(connection, "Upgrade")
			connection = closing
			switch {
			case x.http10:
				connection = nil
			case upgrade: // of 426, which says so of its Upgrade field (RFC 9110, section 7.8)
				connection = closingUpgrade
			}
		}
	}
	if len(connection) > 0 {
		b = appendField(b, "Connection", connection)
	}
	b = append(b, crlf...)
	*x.out = b
}

var (
	closing        = []string{"close"}
	closingUpgrade = []string{"close", "Upgrade"}
	keepAlive      = []string{"keep-alive"}
)

// decideConnection decides whether the connection ends with the answer, and returns its Connection field.
func (x *exchange) decideConnection() []string {
	f, c := &x.fields, x.c
	connection := f.connection
	stays := !c.server.draining.Load() && !c.final
	known := x.req.Method == http.MethodHead || x.contentLength >= 0 || !allowsBody(x.status)
	switch {
	case x.wantsClose:
		x.closes = true
	case x.keepAlive10 && known:
		if connection == nil {
			connection = keepAlive
		}
	case x.http10:
		x.closes = true
	}
	if !stays || len(connection) > 0 && httpguts.HeaderValuesContainsToken(connection, "close") {
		x.closes = true
	}
	if x.body.expects && !x.body.isRead() {
		x.closes = true // the client may send the body, or not
	}
	// Many clients send all of a request before they read, so that its rest has to be taken in first.
	if !x.closes && !x.fullDuplex && !x.body.isRead() && !x.body.drain() {
		x.closes = true
		connection = closing
	}
	return connection
}

// appendFraming adds what says how the body ends.
func (x *exchange) appendFraming(b []byte, bodied bool) []byte {
	f := &x.fields
	if x.contentLength >= 0 && f.coding != "" && f.coding != "identity" {
		x.log("http: WriteHeader called with both Transfer-Encoding of " + f.coding + " and a Content-Length")
		x.contentLength = -1
	}
	switch {
	case !bodied:
	case x.contentLength >= 0:
		b = strconv.AppendInt(append(b, "Content-Length: "...), x.contentLength, 10)
		b = append(b, crlf...)
	case x.req.Method == http.MethodHead:
	case x.http10, f.coding == "identity":
		x.closes = true
	default:
		x.chunked = true
		if f.coding != "" && f.coding != "chunked" {
			b = appendField(b, "Transfer-Encoding", []string{f.coding})
		}
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
	}
	return b
}

// isSwitch reports whether the answer changes the protocol, for which Connection has another use.
func isSwitch(status int, header http.Header) bool {
	return status == http.StatusSwitchingProtocols && httpguts.HeaderValuesContainsToken(header["Connection"], "Upgrade")
}

// appendStatusLine appends a status line (RFC 9112, section 4).
func appendStatusLine(b []byte, http10 bool, status int) []byte {
	if http10 {
		b = append(b, "HTTP/1.0 "...)
	} else {
		b = append(b, "HTTP/1.1 "...)
	}
	b = strconv.AppendInt(b, int64(status), 10)
	b = append(b, ' ')
	if text := http.StatusText(status); text != "" {
		b = append(b, text...)
	} else {
		b = strconv.AppendInt(append(b, "status code "...), int64(status), 10)
	}
	return append(b, crlf...)
}

// appendField appends a line for each value. A name that is none is left out, and what would end the line becomes spaces.
func appendField(b []byte, name string, values []string) []byte {
	if !syntax.IsToken(name) {
		return b
	}
	for _, v := range values {
		b = append(append(b, name...), ": "...)
		v = syntax.TrimBlanks(v)
		if strings.ContainsAny(v, "\r\n") {
			v = strings.Trim(strings.NewReplacer("\r", " ", "\n", " ").Replace(v), " \t")
		}
		b = append(append(b, v...), crlf...)
	}
	return b
}

// stamp is the Date field of a second.
type stamp struct {
	second int64
	text   []byte
}

var lastStamp atomic.Pointer[stamp]

// date is the time for a Date field (RFC 9110, section 6.6.1).
func date() []byte {
	now := time.Now()
	if s := lastStamp.Load(); s != nil && s.second == now.Unix() {
		return s.text
	}
	s := &stamp{second: now.Unix(), text: now.UTC().AppendFormat(nil, http.TimeFormat)}
	lastStamp.Store(s)
	return s.text
}
