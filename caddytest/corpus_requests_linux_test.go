package caddytest

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/caddylb/caddy-lb/caddytest/internal/corpus"
	"github.com/caddylb/caddy-lb/caddytest/internal/judge"
)

// corpusCases limits the corpora to cases whose names begin so.
var corpusCases = flag.String("corpus", "", "the beginning of the names of the cases to play; all by default")

// chosen are the cases to play. The race detector makes everything slow, and sees as much in a part
// of them.
func chosen[T any](all []T, name func(T) string) []T {
	var part []T
	for i, c := range all {
		if strings.HasPrefix(name(c), *corpusCases) && (!raceEnabled || *corpusCases != "" || i%8 == 0) {
			part = append(part, c)
		}
	}
	return part
}

const corpusCaddyfile = `{
	log default {
		exclude http
	}
	servers {
		protocols h1 h2c
	}
}
http://:{$PORT_PLAIN} {
	lb_proxy {$BACKEND}
}
http://:{$PORT_COPY} {
	lb_proxy {$BACKEND} {
		header_up X-Copy 1
	}
}
http://:{$PORT_H2} {
	lb_proxy h2c://{$BACKEND2}
}
`

// A place is where on a connection a case stands, and what the handler does with it.
type place struct {
	name, port string
	play       func(c *rawClient, r corpus.Request, i int)
}

// places are the contexts of a case: net/http reads the first request of a connection, the engine
// those that follow.
var places = []place{
	{"first", "PORT_PLAIN", func(c *rawClient, r corpus.Request, _ int) { c.send(r.Raw, neighbourAfter) }},
	{"later", "PORT_COPY", func(c *rawClient, r corpus.Request, _ int) {
		c.send(neighbourBefore)
		c.await(1)
		c.send(r.Raw, neighbourAfter)
	}},
	{"glued", "PORT_PLAIN", func(c *rawClient, r corpus.Request, _ int) { c.send(neighbourBefore + r.Raw + neighbourAfter) }},
	{"to HTTP/2", "PORT_H2", func(c *rawClient, r corpus.Request, _ int) { c.send(neighbourBefore+r.Raw, neighbourAfter) }},
	{"split", "PORT_PLAIN", func(c *rawClient, r corpus.Request, i int) {
		if i%2 == 0 {
			c.send(neighbourBefore)
			c.await(1)
		}
		c.send(append(splitUp(r.Raw, i%8 == 0), neighbourAfter)...)
	}},
}

// Of everything that clients can send as HTTP/1.1, the backends see the messages that a strict
// reader of the RFCs sees there, as one clear message each, and every client has its own answers.
func TestCorpusRequests(t *testing.T) {
	t.Parallel()
	backend, backend2 := newRecorder(t), newRecorder2(t)
	s := Start(t, corpusCaddyfile, map[string]string{"BACKEND": backend.addr, "BACKEND2": backend2.addr})
	requests := chosen(corpus.Requests(), func(r corpus.Request) string { return r.Name })
	exchanges := make([]*judge.Exchange, len(requests)*len(places))
	inParallel(64, len(exchanges), func(i int) {
		p, r := places[i%len(places)], requests[i/len(places)]
		if p.port == "PORT_H2" && i/len(places)%4 != 0 && len(requests) > 100 {
			return // a part is enough: the client's side is the same
		}
		c := dialAs(t, s.vars[p.port], backend.addr)
		if p.port == "PORT_H2" {
			c.exchange.Nobody = backend2.addr
		}
		p.play(c, r, i/len(places))
		exchanges[i] = c.finish()
	})
	if err := s.Stop(); err != nil { // so that the backend has the end of each connection
		t.Error(err)
	}
	backend.conns.Wait()
	backend2.conns.Wait()
	v := verdict{t: t}
	played := 0
	for i, e := range exchanges {
		if e == nil {
			continue
		}
		played++
		p, r := places[i%len(places)], requests[i/len(places)]
		found := e.Judge(slices.Concat(backend.messages[e.Client], backend2.messages[e.Client]))
		if r.Served && len(found) == 0 && !answered(e) {
			found = append(found, judge.Finding{Kind: judge.Lost, Text: "it is not served"})
		}
		v.count(r.Name+", "+p.name, fmt.Sprintf("%.600q, answered %.600q", e.Sent, e.Got), found)
		delete(backend.messages, e.Client)
		delete(backend2.messages, e.Client)
	}
	v.backend(backend)
	v.backend(backend2)
	t.Logf("%d raw requests, %d exchanges, %d messages at the backends: %v", len(requests), played, backend.served+backend2.served, v.found)
}
