package cluster

import (
	"bytes"
	"net"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/caddylb/caddy-lb/lb"
)

// recording is a connection that plays bytes, in small pieces.
type recording struct {
	net.Conn

	rest  []byte
	piece int
}

func (r *recording) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		return 0, net.ErrClosed
	}
	n := copy(p[:min(len(p), r.piece)], r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

func (*recording) Close() error                    { return nil }
func (*recording) SetReadDeadline(time.Time) error { return nil }

// FuzzReply has the client library read what a server may send. The guard has to let through only what is small.
func FuzzReply(f *testing.F) {
	for _, seed := range []string{
		"+OK\r\n", "*4\r\n:1\r\n:2\r\n:3\r\n:4\r\n", "$3\r\nabc\r\n:1\r\n", "*2\r\n*1\r\n$-1\r\n*0\r\n-ERR no\r\n", "$99999999\r\n",
		"*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$3\r\n5 1\r\n", "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n", "$+3\r\nabc\r\n", "*00001\r\n:1\r\n", "\n", "$\n",
		"$" + repeated("0", maxReplyHead) + "99999999\r\n",
	} {
		f.Add([]byte(seed), 1)
		f.Add([]byte(seed), 4096)
	}
	f.Fuzz(func(t *testing.T, data []byte, piece int) {
		conn := redis.NewConn(&guard{Conn: &recording{rest: data, piece: max(1, piece)}}, 0, 0)
		for range 100 {
			reply, err := conn.Receive()
			if n := weight(reply, 0); n > maxReply {
				t.Fatalf("a reply takes %d bytes", n)
			}
			if err != nil && conn.Err() != nil {
				return
			}
			if taken, err := parseTaken(reply, generous); err == nil && (taken.Remaining < 0 || taken.RetryAfter < 0 || taken.Reset < 0) {
				t.Fatalf("%+v", taken)
			}
		}
	})
}

// weight is about what a reply takes in memory; it is more than any may if it is too deep.
func weight(reply any, depth int) int {
	if depth > maxReplyDepth {
		return maxReply + 1
	}
	switch r := reply.(type) {
	case []byte:
		return len(r)
	case string:
		return len(r)
	case []any:
		n := 16 * len(r)
		for _, e := range r {
			n += weight(e, depth+1)
		}
		return n
	}
	return 0
}

// FuzzNews reads what may be announced. What is understood says the same when it is written again.
func FuzzNews(f *testing.F) {
	for _, seed := range []string{`5 1 ["drain","p","x"]`, `5  ["weight","","http://a:80"]`, `7 3/1 ["weight","p","x"]`, "", "  ", `5 1 []`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		at, s, ok := parseNews(string(data))
		if !ok {
			return
		}
		var o lb.Override
		if err := at.decide(s.value, &o); err != nil {
			t.Fatal(err)
		}
		// Names that are no text come back as the text that stands for them, which is then the same each time.
		written := []byte(s.String() + " " + at.String())
		again, same, ok := parseNews(string(written))
		if len(at.String()) <= maxField && (!ok || again != at || same != s) {
			t.Fatalf("%q is %+v %+v, and written again %+v %+v", data, at, s, again, same)
		}
		if third := []byte(same.String() + " " + again.String()); ok && !bytes.Equal(third, written) {
			t.Fatalf("%q and %q", written, third)
		}
	})
}
