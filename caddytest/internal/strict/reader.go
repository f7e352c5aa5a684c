package strict

import (
	"bytes"
	"slices"
	"strings"
)

// Reader reads messages. Its zero value accepts what the grammar has and nothing else.
type Reader struct {
	// Allowed are deviations to accept.
	Allowed Ease

	// Delimit has a request read to its end whose target or Host is not valid, and noted in it. It
	// has to be refused, but leaves no doubt of where the next one begins.
	Delimit bool

	off Rule // a rule that is not kept, for the test that each is needed
}

// cursor is a reader's place in what came on a connection.
type cursor struct {
	Reader
	p    []byte
	at   int
	used Ease

	invalid error // the first fault that Delimit lets pass
}

// fault is the violation of a rule.
func (c *cursor) fault(rule Rule, text string) error {
	if rule == c.off {
		return nil
	}
	if c.Delimit && slices.Contains(delimited, rule) {
		if c.invalid == nil {
			c.invalid = &Fault{rule, text}
		}
		return nil
	}
	return &Fault{rule, text}
}

// delimited are rules of which a violation does not touch the end of a message.
var delimited = []Rule{TargetForm, TargetChars, Asterisk, Scheme, UserInfo, ConnectForm, HostValue}

// require is fault unless ok.
func (c *cursor) require(ok bool, rule Rule, text string) error {
	if ok {
		return nil
	}
	return c.fault(rule, text)
}

// ease takes note of a deviation, or is the violation of a rule when it is not allowed.
func (c *cursor) ease(e Ease, rule Rule, text string) error {
	if c.Allowed&e != 0 {
		c.used |= e
		return nil
	}
	return c.fault(rule, text)
}

// line reads up to the next LF. Without CR before it the line has to be eased, or violates the
// rule.
func (c *cursor) line(eased Ease, rule Rule) (string, error) {
	rest := c.p[c.at:]
	n := bytes.IndexByte(rest, '\n')
	if n < 0 {
		return "", ErrIncomplete
	}
	text, crlf := strings.CutSuffix(string(rest[:n]), "\r")
	if !crlf {
		if err := c.ease(eased, rule, text); err != nil {
			return "", err
		}
	}
	c.at += n + 1
	return text, nil
}

// fields reads a section with the empty line that ends it (RFC 9112, section 5).
func (c *cursor) fields(eased Ease, end Rule) (Fields, error) {
	var fields Fields
	for {
		line, err := c.line(eased&BareLF, end)
		if err != nil || line == "" {
			return fields, err
		}
		if line[0] == ' ' || line[0] == '\t' {
			if fields, err = c.fold(fields, line, eased); err != nil {
				return nil, err
			}
			continue
		}
		f, err := c.field(line)
		if err != nil {
			return nil, err
		}
		fields = append(fields, f)
	}
}

// fold joins a line that begins with white space to the field before it (RFC 9112, section 5.2).
func (c *cursor) fold(fields Fields, line string, eased Ease) (Fields, error) {
	if len(fields) == 0 {
		return nil, c.fault(FirstBlank, line)
	}
	if err := c.ease(eased&ObsFold, Fold, line); err != nil {
		return nil, err
	}
	if err := c.require(isContent(line), FieldValue, line); err != nil {
		return nil, err
	}
	last := &fields[len(fields)-1]
	last.Value = strings.Trim(last.Value+" "+strings.Trim(line, " \t"), " \t")
	return fields, nil
}

func (c *cursor) field(line string) (Field, error) {
	name, value, ok := strings.Cut(line, ":")
	if err := c.require(ok, FieldColon, line); err != nil {
		return Field{}, err
	}
	if bare := strings.TrimRight(name, " \t"); bare != name {
		if err := c.fault(NameSpace, line); err != nil {
			return Field{}, err
		}
		name = bare
	}
	if err := c.require(isToken(name), FieldName, line); err != nil {
		return Field{}, err
	}
	if err := c.require(isContent(value), FieldValue, line); err != nil {
		return Field{}, err
	}
	return Field{name, strings.Trim(value, " \t")}, nil
}

// take reads n bytes.
func (c *cursor) take(n int) ([]byte, error) {
	if n > len(c.p)-c.at {
		return nil, ErrIncomplete
	}
	c.at += n
	return c.p[c.at-n : c.at : c.at], nil
}
