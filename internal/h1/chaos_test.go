package h1

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// chaoticAnswer is an answer with what is to come of it. Its body names the request, in five digits for five hashes.
type chaoticAnswer struct {
	name, answer, body string
	untilClose, tunnel bool
	code               int
}

const chaoticBody = "answer to #####, and to no other one"

var chaoticAnswers = []chaoticAnswer{
	{name: "length", answer: "HTTP/1.1 200 OK\r\nContent-Length: 36\r\nA: 1\r\n\r\n" + chaoticBody, body: chaoticBody, code: 200},
	{
		name: "chunked", body: chaoticBody, code: 200,
		answer: chunkedHead + "a;x=y\r\nanswer to \r\n1A\r\n#####, and to no other one\r\n0\r\n\r\n",
	},
	{
		name: "trailers", body: chaoticBody, code: 200,
		answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: T\r\n\r\n24\r\n" + chaoticBody + "\r\n0\r\nT: #####\r\n\r\n",
	},
	{
		name: "interim", body: chaoticBody, code: 200,
		answer: "HTTP/1.1 103 Early Hints\r\nLink: <#####>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 36\r\n\r\n" + chaoticBody,
	},
	{name: "nothing", answer: "HTTP/1.1 204 No Content\r\nA: #####\r\n\r\n", code: 204},
	{name: "until close", answer: "HTTP/1.1 200 OK\r\n\r\n" + chaoticBody, body: chaoticBody, untilClose: true, code: 200},
	{name: "tunnel", answer: switching + chaoticBody, body: chaoticBody, tunnel: true, untilClose: true, code: 101},
}

// A fault is done at a place of an answer.
const (
	faultNone      = iota
	faultCut       // the connection is closed
	faultReset     // with RST
	faultHalfClose // its direction to the client
	faultStall     // nothing comes any more, until the client gives up
	faultGarble    // one byte is another
	faultRepeat    // the rest of the answer comes twice
	faults
)

// chaos is a server that does faults, and a client of it.
type chaos struct {
	t    *testing.T
	h    *Host
	mu   sync.Mutex
	plan map[string]chaoticPlan // by request
}

type chaoticPlan struct {
	answer    chaoticAnswer
	fault, at int
}

// waits reports whether the client may wait for more, until it gives up: a garbled answer may promise what does not come.
func (p *chaoticPlan) waits() bool {
	return p.fault == faultStall || p.fault == faultGarble && p.at%7 == 0
}

func newChaos(t *testing.T) *chaos {
	c := &chaos{t: t, plan: make(map[string]chaoticPlan)}
	address := serve(t, func(p *peer) {
		for c.answer(p) {
		}
	})
	c.h = testClient(t, address, Options{})
	return c
}

// answer answers one request, and reports whether the connection goes on.
func (c *chaos) answer(p *peer) bool {
	head, _, _ := p.request()
	if head == "" {
		return false
	}
	id := head[strings.IndexByte(head, '/')+1:][:5]
	c.mu.Lock()
	plan := c.plan[id]
	c.mu.Unlock()
	data := []byte(strings.ReplaceAll(plan.answer.answer, "#####", id))
	at := min(plan.at, len(data))
	switch plan.fault {
	case faultGarble:
		if at < len(data) {
			data[at] ^= 0x15
		}
	case faultRepeat:
		data = append(data, data[at:]...)
	case faultNone:
	default:
		p.write(string(data[:at]))
		switch plan.fault {
		case faultReset:
			p.reset()
		case faultHalfClose:
			_ = p.CloseWrite()
			p.ended()
		case faultStall:
			p.ended()
		}
		return false
	}
	p.write(string(data[:at]))
	p.write(string(data[at:]))
	if plan.fault == faultGarble && !plan.waits() {
		_ = p.CloseWrite()
	}
	return !plan.answer.untilClose
}

// run does one exchange with a fault, and holds what came of it against what may.
func (c *chaos) run(number int, method string, plan chaoticPlan) {
	id := fmt.Sprintf("%05d", number%100_000)
	c.mu.Lock()
	c.plan[id] = plan
	c.mu.Unlock()
	r := requestOf(method)
	r.URL.Path = "/" + id
	ctx, cancel := context.WithTimeout(c.t.Context(), 20*time.Second)
	defer cancel()
	if plan.waits() {
		time.AfterFunc(2*time.Millisecond, cancel)
	}
	x := &Exchange{Request: r.WithContext(ctx)}
	conns := c.h.openCount()
	got := doExchange(c.h, x)
	if x.Response.Body != nil {
		x.Response.Body.Close() // of a tunnel
	}
	if ctx.Err() != nil && !plan.waits() {
		c.t.Errorf("%s, fault %d at %d: it hangs", plan.answer.name, plan.fault, plan.at)
	}
	if plan.fault == faultGarble {
		// One byte can make another valid answer. The next exchanges must not see anything of it.
		return
	}
	want := strings.ReplaceAll(plan.answer.body, "#####", id)
	whole := plan.fault == faultNone || plan.fault == faultRepeat || plan.at >= len(plan.answer.answer)
	switch {
	case got.err == nil && plan.answer.untilClose && strings.HasPrefix(want, got.body) && plan.fault != faultReset:
		// Where the end of the connection is that of the body, nobody can tell.
	case got.err == nil && plan.answer.untilClose && strings.HasPrefix(got.body, want) && plan.fault == faultRepeat:
	case got.err == nil && (got.body != want || got.status != plan.answer.code):
		c.t.Errorf("%s, fault %d at %d: got %d %q", plan.answer.name, plan.fault, plan.at, got.status, got.body)
	case got.err != nil && whole && plan.fault != faultReset && !plan.answer.untilClose:
		c.t.Errorf("%s, fault %d at %d of %d, %d connections: %v", plan.answer.name, plan.fault, plan.at, len(plan.answer.answer), conns, got.err)
	}
}

// sweep does every fault at every step-th byte of every answer, with whole exchanges between them.
func (c *chaos) sweep(number, step int) int {
	for _, answer := range chaoticAnswers {
		for at := 0; at <= len(answer.answer); at += step {
			for fault := faultCut; fault < faults; fault++ {
				if fault == faultStall && (at%11 != 0 || answer.tunnel && at >= len(switching)) {
					continue // each takes some milliseconds, and a tunnel belongs to its user
				}
				method := http.MethodGet
				if number%3 == 0 {
					method = http.MethodPost
				}
				c.run(number, method, chaoticPlan{answer, fault, at})
				c.run(number+1, http.MethodPost, chaoticPlan{chaoticAnswers[at%5], faultNone, at})
				number += 2
			}
		}
	}
	return number
}

// Whatever happens to a connection, at whatever place of an answer: the client neither panics nor hangs, never takes a part of an answer
// for a whole one, and never gives anything of an answer to another request.
func TestChaos(t *testing.T) {
	begun := time.Now()
	for {
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() { newChaos(t).sweep(0, 1) })
		}
		wg.Wait()
		if t.Failed() || time.Since(begun) >= *chaosTime {
			break
		}
	}
}
