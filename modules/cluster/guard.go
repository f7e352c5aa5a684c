package cluster

import (
	"bytes"
	"errors"
	"net"
	"strconv"
)

// What a reply may be at most. The largest honest one is the list of all orders.
const (
	maxReply      = 4 << 20 // bytes, and what its arrays take in memory
	maxReplyDepth = 8
	maxReplyHead  = 32 // bytes of a line that are looked at
)

var errHostileReply = errors.New("the reply is larger than anything that was asked for")

// guard follows what comes over a connection, in the protocol of Redis (RESP2), and breaks it off before the client library makes room
// for a reply that is too large, or too deep, to be one.
type guard struct {
	net.Conn

	size int    // of the reply so far, with what it announced
	skip int    // bytes of a string that are still to come, with its end
	head []byte // the beginning of a line that is still to be read
	open []int  // how many elements each open array still lacks, the innermost last
}

// Read implements net.Conn.
func (g *guard) Read(p []byte) (int, error) {
	n, err := g.Conn.Read(p)
	if hostile := g.follow(p[:n]); hostile != nil {
		return 0, hostile
	}
	return n, err
}

func (g *guard) follow(p []byte) error {
	for len(p) > 0 {
		if g.skip > 0 {
			n := min(g.skip, len(p))
			g.skip, p = g.skip-n, p[n:]
			if g.skip == 0 {
				g.element()
			}
			continue
		}
		n := bytes.IndexByte(p, '\n') + 1
		ended := n > 0
		if !ended {
			n = len(p)
		}
		g.head = append(g.head, p[:min(n, maxReplyHead-len(g.head))]...)
		if g.size += n; g.size > maxReply {
			return errHostileReply
		}
		p = p[n:]
		if !ended {
			continue
		}
		if err := g.line(); err != nil {
			return err
		}
		g.head = g.head[:0]
	}
	return nil
}

// line takes in a line that has ended: a whole element, or what announces one.
func (g *guard) line() error {
	kind, rest := g.head[0], bytes.TrimRight(g.head[1:], "\r\n")
	if kind != '$' && kind != '*' {
		g.element()
		return nil
	}
	n, err := strconv.Atoi(string(rest))
	if whole := g.head[len(g.head)-1] == '\n'; !whole || err != nil || n > maxReply {
		return errHostileReply
	}
	switch {
	case n < 0 || n == 0 && kind == '*':
		g.element()
		return nil
	case kind == '$':
		g.size += n
		g.skip = n + len("\r\n")
	default:
		g.size += n * 16 // the size of an interface value
		g.open = append(g.open, n)
	}
	if g.size > maxReply || len(g.open) > maxReplyDepth {
		return errHostileReply
	}
	return nil
}

// element counts an element that is complete, and the arrays that it completes.
func (g *guard) element() {
	for len(g.open) > 0 {
		last := len(g.open) - 1
		if g.open[last]--; g.open[last] > 0 {
			return
		}
		g.open = g.open[:last]
	}
	g.size = 0
}
