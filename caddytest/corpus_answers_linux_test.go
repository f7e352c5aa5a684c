package caddytest

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddylb/caddy-lb/caddytest/internal/corpus"
	"github.com/caddylb/caddy-lb/caddytest/internal/judge"
	"github.com/caddylb/caddy-lb/caddytest/internal/strict"
)

// liar is a backend that answers /bad/<number>/<nonce> with an answer of the corpus, and anything
// else as it should.
type liar struct {
	answers []corpus.Answer
	conns   sync.WaitGroup
}

// liarWaits is how long a liar bears with a proxy that waits for more of an answer.
const liarWaits = 100 * time.Millisecond

func (l *liar) serve(conn net.Conn) {
	var buf []byte
	var piece [4 << 10]byte
	for {
		m, n, err := strict.Reader{Allowed: judge.ToBackends}.Request(buf)
		if err == nil {
			buf = buf[n:]
			if !l.answer(conn, m) {
				return
			}
			continue
		}
		if !errors.Is(err, strict.ErrIncomplete) {
			return
		}
		n, err = conn.Read(piece[:])
		if buf = append(buf, piece[:n]...); err != nil {
			return
		}
	}
}

// answer reports whether the connection goes on.
func (l *liar) answer(conn net.Conn, m *strict.Request) bool {
	parts := strings.Split(m.Path, "/")
	nonce := parts[len(parts)-1]
	_ = conn.SetReadDeadline(time.Time{})
	if parts[1] != "bad" {
		_, err := fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nX-Nonce: %s\r\nContent-Length: 4\r\n\r\ngood", nonce)
		return err == nil
	}
	i, _ := strconv.Atoi(parts[2])
	if _, err := conn.Write([]byte(strings.ReplaceAll(l.answers[i].Raw, corpus.Nonce, nonce))); err != nil {
		return false
	}
	_ = conn.SetReadDeadline(time.Now().Add(liarWaits))
	return parts[3] == "stay"
}

// nonceClient asks one request after the other, on a connection that it keeps as long as the proxy
// does.
type nonceClient struct {
	t     *testing.T
	port  string
	raw   *rawClient
	asked []strict.Asked
	want  []string // nonces
	done  []clientConn
}

// clientConn is a client's connection that has ended.
type clientConn struct {
	got   []byte
	asked []strict.Asked
	want  []string
}

// ask sends a request, and reads its answer or the connection's end.
func (c *nonceClient) ask(method, path, nonce string) {
	if c.raw == nil {
		c.raw = dialAs(c.t, c.port, "")
	}
	length := ""
	if method == "POST" {
		length = "Content-Length: 0\r\n"
	}
	c.raw.send(method + " " + path + " HTTP/1.1\r\nHost: a.test\r\n" + length + "\r\n")
	c.asked, c.want = append(c.asked, strict.Asked{Method: method, Minor: 1}), append(c.want, nonce)
	if !c.raw.await(len(c.asked)) || c.lastCloses() {
		c.end()
	}
}

// lastCloses reports whether the answer that came last ends the connection.
func (c *nonceClient) lastCloses() bool {
	list, _, err := strict.Reader{Allowed: strict.AnyStatus}.Answers(c.raw.exchange.Got, c.asked)
	return err != nil || len(list) > 0 && (list[len(list)-1].Last || list[len(list)-1].Tunnel)
}

func (c *nonceClient) end() {
	if c.raw == nil {
		return
	}
	_ = c.raw.Conn.(*net.TCPConn).CloseWrite()
	c.raw.drain() // whatever comes unasked
	c.raw.Close()
	c.done = append(c.done, clientConn{c.raw.exchange.Got, c.asked, c.want})
	c.raw, c.asked, c.want = nil, nil, nil
}

// Whatever a backend answers, each client gets its own answers or errors, in clear messages, and
// never another's.
func TestCorpusAnswers(t *testing.T) {
	t.Parallel()
	all := chosen(corpus.Answers(), func(a corpus.Answer) string { return a.Name })
	l := &liar{answers: all}
	addr := listen(t, &l.conns, l.serve)
	s := Start(t, corpusCaddyfile, map[string]string{"BACKEND": addr, "BACKEND2": addr})
	const clients = 16
	kept := make([]*nonceClient, clients)
	var nonces atomic.Int64
	nonce := func() string { return "n" + strconv.FormatInt(nonces.Add(1), 10) }
	inParallel(clients, clients, func(n int) {
		c := &nonceClient{t: t, port: s.vars["PORT_PLAIN"]}
		kept[n] = c
		for k := range all {
			i := (k + n*len(all)/clients) % len(all)
			if i%4 != n%4 && len(all) > 20 {
				continue // each case has a quarter of the clients
			}
			how := []string{"stay", "leave"}[n/4%2]
			mark := nonce()
			c.ask(all[i].Method, fmt.Sprintf("/bad/%d/%s/%s", i, how, mark), mark)
			for range 2 {
				mark := nonce()
				c.ask("GET", "/good/"+mark, mark)
			}
		}
		c.end()
	})
	v := verdict{t: t}
	v.begin()
	own, failed := 0, 0
	for _, c := range kept {
		for _, d := range c.done {
			n, f := v.clientConn(d)
			own, failed = own+n, failed+f
		}
	}
	if own < int(nonces.Load())*2/3 { // as many as the backend answered well
		t.Errorf("only %d answers came", own)
	}
	t.Logf("%d hostile answers, %d requests: %d have their own answer, %d an error: %v", len(all), nonces.Load(), own, failed, v.found)
}

// clientConn judges what came on a connection of a client.
func (v *verdict) clientConn(d clientConn) (own, failed int) {
	var found []judge.Finding
	list, rest, err := strict.Reader{Allowed: strict.AnyStatus}.Answers(d.got, d.asked)
	if err != nil && !errors.Is(err, strict.ErrIncomplete) { // a broken answer is an error, too
		found = append(found, judge.Finding{Kind: judge.Unclear, Text: fmt.Sprintf("%v in %.200q", err, rest)})
	}
	n := 0
	for _, a := range list {
		if a.Status < 200 && a.Status != 101 {
			continue
		}
		switch got := a.Fields.Values("X-Nonce"); {
		case len(got) == 0 && a.Status >= 500:
			failed++
		case slices.Contains(got, d.want[n]):
			own++
		case len(got) == 0:
			found = append(found, judge.Finding{Kind: judge.Unclear, Text: fmt.Sprintf("status %d without a nonce", a.Status)})
		default:
			found = append(found, judge.Finding{Kind: judge.Crossed, Text: fmt.Sprintf("the answer to %s is for %q", d.want[n], got)})
		}
		n++
	}
	v.count("answers/"+d.want[min(n, len(d.want)-1)], fmt.Sprintf("%.900q", d.got[max(0, len(d.got)-700):]), found)
	return own, failed
}
