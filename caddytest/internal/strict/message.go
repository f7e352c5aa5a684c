package strict

import (
	"errors"
	"fmt"
	"strings"
)

// ErrIncomplete says that a message has begun and its end is still to come.
var ErrIncomplete = errors.New("the message is not complete")

// Fault is a violation of a rule.
type Fault struct {
	Rule Rule
	Text string // what violates it
}

// Error implements error.
func (f *Fault) Error() string { return fmt.Sprintf("%s: %.100q", f.Rule, f.Text) }

// Ease is a set of deviations from the grammar that an RFC lets a recipient accept.
type Ease uint

// The deviations.
const (
	// EmptyLines stand before a request line (RFC 9112, section 2.2).
	EmptyLines Ease = 1 << iota
	// BareLF ends a request line or a header field's line without CR (RFC 9112, section 2.2).
	BareLF
	// ObsFold continues a field's value in the next line, and stands for a space (RFC 9112, section
	// 5.2).
	ObsFold
	// EqualLengths are several lengths that agree (RFC 9112, section 6.3).
	EqualLengths
	// BothFramings is Content-Length beside chunks, which count. The connection ends with the
	// message (RFC 9112, section 6.1).
	BothFramings
	// LooseTarget has characters that a URI must escape, but neither space nor controls nor "#"
	// (RFC 9112, section 3.2: the answer to such a target SHOULD be 400).
	LooseTarget
	// LooseExtension is anything on a chunk's line behind its size and a semicolon but controls. A
	// recipient ignores extensions that it does not know (RFC 9112, section 7.1.1).
	LooseExtension
	// PaddedSize has blanks behind a chunk's size without an extension. Old servers write sizes of
	// a fixed width.
	PaddedSize
	// Hash is a "#" in a target. It ends no path in a request, so it stands for "%23" (RFC 9112,
	// section 3.2).
	Hash
	// OldCoding is Transfer-Encoding in HTTP/1.0, which does not have it. The body has its
	// Content-Length, and the connection ends with the message (RFC 9112, section 6.1).
	OldCoding
	// IgnoredHost is a Host that is not valid beside a target with an authority, which counts (RFC
	// 9112, section 3.2.2).
	IgnoredHost
	// Blanks2 are white space around a value in HTTP/2, which does not belong to it (RFC 9110,
	// section 5.5; RFC 9113, section 8.2.1).
	Blanks2
	// PathSpace is a space in the path of HTTP/2, which stands for "%20". In a query it is a fault.
	PathSpace
	// HopTrailers are fields of a connection in the trailer section of HTTP/2. They are ignored.
	HopTrailers
	// LoosePadding is HEADERS with more padding than payload. x/net/http2 refuses the stream and
	// goes on with the connection, which concerns its client alone.
	LoosePadding
	// AnyStatus is a status code above 599, which is a server error to its client (RFC 9110,
	// section 15).
	AnyStatus
	// DroppedUserInfo stands before the host of an absolute target, and is no part of whom the
	// request is for (RFC 9110, section 4.2.4: it SHOULD be an error).
	DroppedUserInfo
	// EarlyEnd is an HTTP/2 request whose body has its length, or its end, before the stream shows
	// a fault. A proxy that does not buffer has sent it by then (RFC 9113, section 8.1.1).
	EarlyEnd
)

var easeNames = [...]string{
	"empty lines", "bare LF", "obs-fold", "equal lengths", "both framings", "loose target", "loose extension",
	"padded size", "hash", "old coding", "ignored host", "blanks", "space in a path", "hop trailers",
	"loose padding", "any status", "user information", "early end",
}

// String names the deviations.
func (e Ease) String() string {
	var names []string
	for i, name := range easeNames {
		if e&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

// Field is one line of a header or trailer section.
type Field struct{ Name, Value string }

// Fields are a section's lines in their order.
type Fields []Field

// Values are the values of all lines of this name.
func (fs Fields) Values(name string) []string {
	var values []string
	for _, f := range fs {
		if strings.EqualFold(f.Name, name) {
			values = append(values, f.Value)
		}
	}
	return values
}

// List are the members of a field that is a comma-separated list, over all its lines. Empty members
// are ignored (RFC 9110, section 5.6.1.2).
func (fs Fields) List(name string) []string {
	var members []string
	for _, v := range fs.Values(name) {
		for m := range strings.SplitSeq(v, ",") {
			if m = strings.Trim(m, " \t"); m != "" {
				members = append(members, m)
			}
		}
	}
	return members
}

// Has reports whether a list has this member, in whatever case.
func (fs Fields) Has(name, member string) bool {
	for _, m := range fs.List(name) {
		if strings.EqualFold(m, member) {
			return true
		}
	}
	return false
}

// Request is one request, read to its end.
type Request struct {
	Method, Target string
	Minor          int // of the version 1.minor; 1 for HTTP/2
	Fields         Fields
	Body           []byte
	Chunked        bool
	Trailers       Fields

	// Authority is what the request is for: that of its target, else Host (RFC 9112, section 3.3).
	Authority string
	// Path is the target without scheme and authority, "" for CONNECT.
	Path string
	// Last says that nothing on the connection behind this request is one.
	Last bool
	// Invalid is why the request has to be refused; nil where Delimit did not have to let a fault
	// pass.
	Invalid error
	// Eased is what had to be allowed.
	Eased Ease
}

// Answer is one answer, read to its end.
type Answer struct {
	Minor, Status int
	Reason        string
	Fields        Fields
	Body          []byte
	Chunked       bool
	Trailers      Fields

	// Last says that nothing on the connection behind this answer is one.
	Last bool
	// Tunnel says that what follows is no HTTP/1.1.
	Tunnel bool
}

// Methods that change how a message is read.
const (
	methodConnect = "CONNECT"
	methodHead    = "HEAD"
	methodOptions = "OPTIONS"
)
