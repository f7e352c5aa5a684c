package caddytest

import (
	"fmt"
	"slices"
	"testing"

	"github.com/caddylb/caddy-lb/caddytest/internal/corpus"
	"github.com/caddylb/caddy-lb/caddytest/internal/judge"
)

// places2 are the contexts of a case on a connection of HTTP/2. Each sends it on the given stream,
// and neighbours on those around it.
var places2 = []struct {
	name, port string
	stream     uint32
	play       func(c *frameClient, frames []byte)
}{
	{"first", "PORT_PLAIN", 1, func(c *frameClient, frames []byte) { c.send(frames, corpus.Get2(3, "/after")) }},
	{"later", "PORT_COPY", 3, func(c *frameClient, frames []byte) {
		c.send(corpus.Get2(1, "/before"))
		c.await(1)
		c.send(frames, corpus.Get2(5, "/after"))
	}},
	{"glued", "PORT_PLAIN", 3, func(c *frameClient, frames []byte) {
		c.send(slices.Concat(corpus.Get2(1, "/before"), frames, corpus.Get2(5, "/after")))
	}},
	{"split", "PORT_PLAIN", 3, func(c *frameClient, frames []byte) {
		c.send(corpus.Get2(1, "/before"))
		c.send(append(chop(frames), corpus.Get2(5, "/after"))...)
	}},
	{"to HTTP/2", "PORT_H2", 1, func(c *frameClient, frames []byte) { c.send(frames, corpus.Get2(3, "/after")) }},
}

// Of everything that clients can send as HTTP/2, the backends see the messages that a strict reader
// of the RFCs sees there, as one clear message each of HTTP/1.1 or HTTP/2, and every stream has its
// own answer.
func TestCorpusHTTP2(t *testing.T) {
	t.Parallel()
	backend, backend2 := newRecorder(t), newRecorder2(t)
	s := Start(t, corpusCaddyfile, map[string]string{"BACKEND": backend.addr, "BACKEND2": backend2.addr})
	requests := chosen(corpus.Requests2(), func(r corpus.Request2) string { return r.Name })
	exchanges := make([]*judge.Exchange2, len(requests)*len(places2))
	inParallel(64, len(exchanges), func(i int) {
		p, r := places2[i%len(places2)], requests[i/len(places2)]
		c := dialFrames(t, s.vars[p.port], backend.addr)
		if p.port == "PORT_H2" {
			c.exchange.Nobody = backend2.addr
		}
		p.play(c, r.Frames(p.stream))
		exchanges[i] = c.finish(p.stream, p.stream+2)
	})
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
	backend.conns.Wait()
	backend2.conns.Wait()
	v := verdict{t: t}
	for i, e := range exchanges {
		p, r := places2[i%len(places2)], requests[i/len(places2)]
		found := e.Judge(slices.Concat(backend.messages[e.Client], backend2.messages[e.Client]))
		if a := e.Answers[p.stream]; r.Served && (a == nil || len(a.Fields.Values(judge.ForField)) != 1) {
			found = append(found, judge.Finding{Kind: judge.Lost, Text: "it is not served"})
		}
		v.count(r.Name+", "+p.name, fmt.Sprintf("%.600q", e.Sent), found)
		delete(backend.messages, e.Client)
		delete(backend2.messages, e.Client)
	}
	v.backend(backend)
	v.backend(backend2)
	t.Logf("%d raw requests, %d exchanges, %d messages at the backends: %v", len(requests), len(exchanges), backend.served+backend2.served, v.found)
}
