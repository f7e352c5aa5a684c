package judge

import (
	"errors"
	"strings"

	"github.com/caddylb/caddy-lb/caddytest/internal/strict"
)

// FromClients2 is what a server may accept of HTTP/2 clients.
const FromClients2 = strict.EqualLengths | strict.LooseTarget | strict.Hash | strict.Blanks2 | strict.PathSpace |
	strict.HopTrailers | strict.EarlyEnd

// Exchange2 is all that a client of HTTP/2 sent on its connection, and the answers.
type Exchange2 struct {
	Client  string
	Nobody  string
	Sent    []byte
	Answers map[uint32]*Answer2
	Lost    bool // the connection ended before all answers were there
}

// Answer2 is the answer on one stream.
type Answer2 struct {
	Fields strict.Fields
	Body   []byte
	Ended  bool
	Reset  bool
}

// Read are the requests that the client sent, by their streams, and the error that ends the
// connection.
func (e *Exchange2) Read() (map[uint32]*strict.Request, error) {
	requests, _, err := e.read()
	return requests, err
}

// read is Read, with the streams that the client has reset.
func (e *Exchange2) read() (requests map[uint32]*strict.Request, reset map[uint32]bool, err error) {
	requests, reset = make(map[uint32]*strict.Request), make(map[uint32]bool)
	streams, err := strict.Reader{Allowed: strict.LoosePadding}.Streams(e.Sent)
	for _, st := range streams {
		reset[st.ID] = st.Reset
		m, fault := strict.Reader{Allowed: FromClients2}.Request2(st)
		if fault != nil {
			continue
		}
		if m.Authority == "" {
			m.Authority = e.Nobody
		}
		crumbs(m)
		requests[st.ID] = m
	}
	return requests, reset, err
}

// crumbs joins the fields in which HTTP/2 may send cookies (RFC 9113, section 8.2.3).
func crumbs(m *strict.Request) {
	if values := m.Fields.Values("cookie"); len(values) > 1 {
		m.Fields = append(m.Fields, strict.Field{Name: "cookie", Value: strings.Join(values, "; ")})
	}
}

// Judge compares the requests with those that backends got in the client's name, in whatever order,
// and with the answers.
func (e *Exchange2) Judge(forwarded []*strict.Request) []Finding {
	requests, reset, err := e.read()
	var r result
	taken := make(map[uint32]bool)
	for _, m := range forwarded {
		found := uint32(0)
		for id, sent := range requests {
			if !taken[id] && isSame(sent, m) {
				found = id
			}
		}
		if found == 0 {
			r.add(Smuggled, "the backend got %s", Describe(m))
			continue
		}
		taken[found] = true
		r.fields(e.Client, requests[found], m)
	}
	for id, a := range e.Answers {
		r.answer2(e.Client, id, requests[id], a)
	}
	for id := range requests {
		if a := e.Answers[id]; (a == nil || !a.Ended && !a.Reset) && !e.Lost && !reset[id] && !isConnectionFault(err) {
			r.add(Lost, "stream %d has no answer", id)
		}
	}
	return r.findings
}

func isConnectionFault(err error) bool { return err != nil && !errors.Is(err, strict.ErrIncomplete) }

func (r *result) answer2(client string, id uint32, asked *strict.Request, a *Answer2) {
	whose := a.Fields.Values(ForField)
	switch {
	case len(whose) == 0:
		return // the proxy's own
	case asked == nil:
		r.add(Smuggled, "stream %d, which has no request, has an answer of a backend: %q", id, a.Fields.Values(LineField))
	case len(whose) != 1 || whose[0] != client:
		r.add(Crossed, "the answer on stream %d is for %q", id, whose)
	case a.Fields.Values(LineField)[0] != Line(asked):
		r.add(Crossed, "the answer on stream %d is for %q, want %q", id, a.Fields.Values(LineField), Line(asked))
	case a.Ended && len(a.Body) > 0 && string(a.Body) != Line(asked):
		r.add(Crossed, "the answer on stream %d is %q, want %q", id, a.Body, Line(asked))
	}
}
