package caddytest

// The table of who ends first. A request meets an answer over every version of HTTP on both sides
// of the proxy, and each pair has one right outcome, whatever the versions are. docs/proxy.md has
// it in short.

// endsForm is what a client sends.
type endsForm struct {
	name    string
	length  int64  // of the body, as told; 0 for none, -1 when it is not told
	begins  string // what is sent of it at once
	whole   bool   // the request ends with that; else it is open until the client has its answer
	trickle bool   // while it is open, it goes on byte by byte
	leaves  bool   // the client leaves as soon as the backend has the request
}

var endsForms = []endsForm{
	{name: "no body", whole: true},
	{name: "length", length: 4, begins: "req1", whole: true},
	{name: "chunked", length: -1, begins: "req1", whole: true},
	{name: "silent", length: -1},
	{name: "open", length: -1, begins: "req1"},
	{name: "paused", length: 100_000, begins: "req1"},
	{name: "trickling", length: -1, begins: "req1", trickle: true},
	{name: "aborted", length: -1, begins: "req1", leaves: true},
}

// endsMoment is when a backend answers.
type endsMoment string

const (
	onHead  endsMoment = "on the head"
	onFirst endsMoment = "on the first of the body"
	onEnd   endsMoment = "on the end of the body"
)

// endsCut is how a backend breaks off: over HTTP/2 by a reset of the stream, over HTTP/1.1 by
// closing the connection, or by resetting it.
type endsCut string

const (
	noCut       endsCut = ""
	resetNormal endsCut = "reset without an error" // NO_ERROR; the connection is closed
	resetError  endsCut = "reset with an error"    // INTERNAL_ERROR; the connection is reset
)

// endsAnswer is what a backend answers.
type endsAnswer struct {
	name    string
	moment  endsMoment
	status  int // 0 for none
	length  int // of the body, as told; -1 when it is not told
	body    string
	trailer bool
	short   bool // it breaks off before its end
	cut     endsCut
}

// endsBroken is that an answer broke off. How much of it comes before that is not certain: HTTP/3
// throws away what is on its way when a stream is reset.
const endsBroken = "broken off"

// endsHeld is that there is no answer, until the client leaves.
const endsHeld = "none"

// endsTable is what a client gets for each answer. An answer that the backend gives on the end of
// the body comes only to clients that send it; the others get none.
var endsTable = []struct {
	endsAnswer
	want string
}{
	{endsAnswer{name: "head", status: 204}, "204"},
	{endsAnswer{name: "length", status: 200, length: 5, body: "whole"}, "200 whole"},
	{endsAnswer{name: "stream", status: 200, length: -1, body: "whole"}, "200 whole"},
	{endsAnswer{name: "trailers", status: 200, length: -1, body: "whole", trailer: true}, "200 whole X-End=1"},
	{endsAnswer{name: "refusal", status: 413, length: 3, body: "big"}, "413 big"},
	{endsAnswer{name: "refusal as a stream", status: 403, length: -1, body: "no", trailer: true}, "403 no X-End=1"},

	{endsAnswer{name: "head, then reset", status: 204, cut: resetNormal}, "204"},
	{endsAnswer{name: "length, then reset", status: 200, length: 5, body: "whole", cut: resetNormal}, "200 whole"},
	{endsAnswer{name: "trailers, then reset", status: 200, length: -1, body: "whole", trailer: true, cut: resetNormal}, "200 whole X-End=1"},
	{endsAnswer{name: "refusal, then reset", status: 413, length: 3, body: "big", cut: resetNormal}, "413 big"},

	{endsAnswer{name: "reset", cut: resetNormal}, "502"},
	{endsAnswer{name: "error", cut: resetError}, "502"},
	{endsAnswer{name: "length, reset within", status: 200, length: 5, body: "who", short: true, cut: resetNormal}, endsBroken},
	{endsAnswer{name: "length, error within", status: 200, length: 5, body: "who", short: true, cut: resetError}, endsBroken},
	{endsAnswer{name: "stream, reset within", status: 200, length: -1, body: "who", short: true, cut: resetNormal}, endsBroken},
	{endsAnswer{name: "stream, error within", status: 200, length: -1, body: "who", short: true, cut: resetError}, endsBroken},

	{endsAnswer{name: "nothing", moment: onEnd}, endsHeld},
}

// endsCase is one line of the table for one form of request.
type endsCase struct {
	form   endsForm
	answer endsAnswer
	want   string
}

// endsCases is the whole table. Each answer comes at every moment that the request has.
func endsCases() []endsCase {
	var all []endsCase
	for _, row := range endsTable {
		for _, form := range endsForms {
			moments := []endsMoment{onHead, onEnd}
			switch {
			case row.want == endsHeld:
				moments = []endsMoment{onEnd}
			case form.begins != "":
				moments = append(moments, onFirst)
			}
			for _, moment := range moments {
				c := endsCase{form, row.endsAnswer, row.want}
				c.answer.moment = moment
				if moment == onEnd && !form.whole {
					c.want = endsHeld
				}
				all = append(all, c)
			}
		}
	}
	return all
}
