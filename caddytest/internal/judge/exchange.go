package judge

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"

	"github.com/caddylb/caddy-lb/caddytest/internal/strict"
)

// Kind is what is wrong.
type Kind string

// The kinds of findings.
const (
	Smuggled Kind = "smuggled"
	Crossed  Kind = "crossed"
	Unclear  Kind = "unclear"
	Lost     Kind = "lost"
	Leaked   Kind = "leaked"
)

// Finding is one thing that is wrong.
type Finding struct {
	Kind Kind
	Text string
}

// FromClients is what a server may accept of its clients, or has to put right before it passes it
// on.
const FromClients = strict.EmptyLines | strict.BareLF | strict.ObsFold | strict.EqualLengths | strict.BothFramings |
	strict.LooseTarget | strict.LooseExtension | strict.PaddedSize | strict.Hash | strict.IgnoredHost | strict.DroppedUserInfo | strict.OldCoding

// ToBackends is what may be left in the messages to a backend.
const ToBackends = strict.LooseTarget

// Fields by which a backend of the test tells whom and what it answers.
const (
	ForField  = "X-Answer-For"  // the client's address
	LineField = "X-Answer-Line" // method and path
)

// Exchange is all that came and went on one connection of a client.
type Exchange struct {
	Client string // its address, of no other connection
	Nobody string // the authority that a request without one goes on with
	Sent   []byte
	Got    []byte // until the proxy closed the connection
	Hung   bool   // which it did not, though nothing was to come
}

// Read are the requests that the client sent, and why there are not more: nil behind the last one.
func (e *Exchange) Read() ([]*strict.Request, error) {
	list, _, err := strict.Reader{Allowed: FromClients, Delimit: true}.Requests(e.Sent)
	return list, err
}

// Judge compares the requests of an HTTP/1.1 client with those that backends got in its name, in
// their order, and with the answers.
func (e *Exchange) Judge(forwarded []*strict.Request) []Finding {
	requests, err := e.Read()
	var r result
	for _, m := range requests {
		if m.Authority == "" {
			m.Authority = e.Nobody
		}
	}
	r.forwarded(e.Client, requests, forwarded)
	if e.Hung {
		r.add(Lost, "the connection stays open")
	}
	asked := make([]strict.Asked, 0, len(requests)+1)
	for _, m := range requests {
		asked = append(asked, strict.Asked{Method: m.Method, Minor: m.Minor})
	}
	if err != nil {
		asked = append(asked, strict.Asked{Method: "GET", Minor: 1}) // the refusal
	}
	answers, _, unclear := strict.Reader{}.Answers(e.Got, asked)
	if unclear != nil {
		r.add(Unclear, "the client is sent %.300q: %v", e.Got, unclear)
	}
	r.answers(e.Client, requests, answers)
	return r.findings
}

// result collects findings.
type result struct{ findings []Finding }

func (r *result) add(k Kind, format string, args ...any) {
	r.findings = append(r.findings, Finding{k, fmt.Sprintf(format, args...)})
}

// forwarded finds for each message at the backends the request that it is.
func (r *result) forwarded(client string, requests, forwarded []*strict.Request) {
	next := 0
	for _, m := range forwarded {
		found := -1
		for i := next; i < len(requests) && found < 0; i++ {
			if isSame(requests[i], m) {
				found = i
			}
		}
		if found < 0 {
			r.add(Smuggled, "the backend got %s", Describe(m))
			continue
		}
		next = found + 1
		r.fields(client, requests[found], m)
	}
}

// isSame reports whether two messages ask for the same. OPTIONS of a whole server may be * (RFC
// 9112, section 3.2.4).
func isSame(sent, got *strict.Request) bool {
	path := Path(sent.Path)
	return sent.Invalid == nil && sent.Method == got.Method && (path == Path(got.Path) || path == "/" && got.Path == "*" && sent.Method == http.MethodOptions) &&
		strings.EqualFold(sent.Authority, got.Authority) && bytes.Equal(sent.Body, got.Body)
}

// answers compares the answers with the requests.
func (r *result) answers(client string, requests []*strict.Request, answers []*strict.Answer) {
	n, closed := 0, false
	for _, a := range answers {
		if a.Status < 200 && a.Status != 101 {
			continue
		}
		r.answer(client, requests, n, a)
		closed = a.Last || a.Tunnel
		n++
	}
	if n < len(requests) && !closed {
		r.add(Lost, "%d of %d clear requests have an answer", n, len(requests))
	}
}

func (r *result) answer(client string, requests []*strict.Request, n int, a *strict.Answer) {
	whose := a.Fields.Values(ForField)
	if len(whose) == 0 {
		return // the proxy's own
	}
	if n >= len(requests) {
		r.add(Smuggled, "answer %d is a backend's: %q", n+1, a.Fields.Values(LineField))
		return
	}
	if len(whose) != 1 || whose[0] != client {
		r.add(Crossed, "answer %d is for %q", n+1, whose)
	}
	if want, got := Line(requests[n]), a.Fields.Values(LineField); len(got) != 1 || got[0] != want {
		r.add(Crossed, "answer %d is for %q, want %q", n+1, got, want)
	}
}

// Line is the value of [LineField] for a request.
func Line(m *strict.Request) string { return m.Method + " " + Path(m.Path) }

// Describe is a message in one line.
func Describe(m *strict.Request) string {
	return fmt.Sprintf("%s %.80q for %q with %.60q", m.Method, m.Target, m.Authority, m.Body)
}
