package strict

import (
	"strconv"
	"strings"
)

// Asked is a request of which an answer is awaited.
type Asked struct {
	Method string
	Minor  int // of the version in which it was asked
}

// Answers reads p, all that came on a connection until its end, as the answers to some requests,
// interim ones included. The error tells of what is none; rest is what was not read.
func (r Reader) Answers(p []byte, asked []Asked) (list []*Answer, rest []byte, err error) {
	for len(p) > 0 {
		if len(list) > 0 && list[len(list)-1].Last {
			return list, p, &Fault{AfterLast, string(p[:min(len(p), 80)])}
		}
		if len(asked) == 0 {
			return list, p, &Fault{Unasked, string(p[:min(len(p), 80)])}
		}
		a, n, err := r.Answer(p, asked[0])
		if err != nil {
			return list, p, err
		}
		list, p = append(list, a), p[n:]
		if a.Tunnel {
			break
		}
		if a.Status >= 200 {
			asked = asked[1:]
		}
	}
	return list, p, nil
}

// Answer reads the answer with which p begins, and returns its length. A body that ends with the
// connection ends with p.
func (r Reader) Answer(p []byte, to Asked) (*Answer, int, error) {
	c := &cursor{Reader: r, p: p}
	line, err := c.line(0, LineEnd)
	if err != nil {
		return nil, 0, err
	}
	a := new(Answer)
	if err := c.statusLine(a, line); err != nil {
		return nil, 0, err
	}
	if a.Fields, err = c.fields(0, LineEnd); err != nil {
		return nil, 0, err
	}
	if err := c.answerBody(a, to); err != nil {
		return nil, 0, err
	}
	return a, c.at, nil
}

func (c *cursor) statusLine(a *Answer, line string) error {
	version, rest, _ := strings.Cut(line, " ")
	code, reason, ok := strings.Cut(rest, " ")
	if err := c.require(ok && len(code) == 3 && isNumber(code) && isContent(reason), StatusLine, line); err != nil {
		return err
	}
	var err error
	if a.Minor, err = c.version(version); err != nil {
		return err
	}
	a.Status, _ = strconv.Atoi(code) // they are digits
	a.Reason = reason
	if a.Status > 599 {
		return c.ease(AnyStatus, StatusCode, line)
	}
	return c.require(a.Status >= 100, StatusCode, line)
}

// answerBody reads what follows the header (RFC 9112, section 6.3).
func (c *cursor) answerBody(a *Answer, to Asked) error {
	f, err := c.framing(a.Fields, a.Minor)
	if err != nil {
		return err
	}
	interim := a.Status < 200
	bare := interim || a.Status == 204
	if err := c.require(!interim || to.Minor > 0, InterimToOld, strconv.Itoa(a.Status)); err != nil {
		return err
	}
	if err := c.require(!f.coded || !bare && to.Minor > 0, NoCoding, strconv.Itoa(a.Status)); err != nil {
		return err
	}
	if err := c.require(f.length < 0 || !bare, NoLength, strconv.Itoa(a.Status)); err != nil {
		return err
	}
	a.Tunnel = a.Status == 101 || to.Method == methodConnect && a.Status/100 == 2
	a.Last = !interim && (closes(a.Fields, min(a.Minor, to.Minor)) || c.used&BothFramings != 0)
	switch {
	case bare || a.Tunnel || to.Method == methodHead || a.Status == 304:
	case f.endless:
		return ErrIncomplete
	case f.coded:
		a.Chunked = true
		a.Body, a.Trailers, err = c.chunks()
	case f.length >= 0:
		a.Body, err = c.take(f.length)
	default:
		a.Last = true
		a.Body, err = c.take(len(c.p) - c.at)
	}
	return err
}
