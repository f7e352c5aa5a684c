package strict

import "strings"

// Requests reads p, all that came on a connection, as requests. It ends behind one that is the
// last, or before what is none, of which the error tells. rest is what was not read.
func (r Reader) Requests(p []byte) (list []*Request, rest []byte, err error) {
	for len(p) > 0 {
		m, n, err := r.Request(p)
		if err != nil {
			return list, p, err
		}
		list, p = append(list, m), p[n:]
		if m.Last {
			break
		}
	}
	return list, p, nil
}

// Request reads the request with which p begins, and returns its length. The error is a [*Fault],
// or [ErrIncomplete] when more has to come.
func (r Reader) Request(p []byte) (*Request, int, error) {
	c := &cursor{Reader: r, p: p}
	m := new(Request)
	line, err := c.firstLine()
	if err != nil {
		return nil, 0, err
	}
	if err := c.requestLine(m, line); err != nil {
		return nil, 0, err
	}
	if m.Fields, err = c.fields(r.Allowed, LineEnd); err != nil {
		return nil, 0, err
	}
	if err := c.host(m); err != nil {
		return nil, 0, err
	}
	if err := c.body(m); err != nil {
		return nil, 0, err
	}
	m.Eased, m.Invalid = c.used, c.invalid
	m.Last = m.Last || closes(m.Fields, m.Minor)
	return m, c.at, nil
}

// closes reports whether a connection ends with a message (RFC 9112, section 9.3).
func closes(fields Fields, minor int) bool {
	return fields.Has("Connection", "close") || minor == 0 && !fields.Has("Connection", "keep-alive")
}

// firstLine reads the request line, behind empty lines where these are allowed.
func (c *cursor) firstLine() (string, error) {
	for {
		line, err := c.line(c.Allowed&BareLF, LineEnd)
		if err != nil || line != "" {
			return line, err
		}
		if err := c.ease(EmptyLines, FirstLine, line); err != nil {
			return "", err
		}
	}
}

func (c *cursor) requestLine(m *Request, line string) error {
	parts := strings.Split(line, " ")
	if len(parts) != 3 {
		if err := c.fault(RequestLine, line); err != nil {
			return err
		}
		parts = append(append(parts[:1:1], strings.Join(parts[1:max(len(parts)-1, 1)], "_")), "HTTP/1.1")
	}
	m.Method, m.Target = parts[0], parts[1]
	if err := c.require(isToken(m.Method), Method, line); err != nil {
		return err
	}
	var err error
	if m.Minor, err = c.version(parts[2]); err != nil {
		return err
	}
	return c.target(m)
}

// version reads HTTP-version = "HTTP" "/" DIGIT "." DIGIT. A later minor version is 1.1 for
// everybody else (RFC 9110, section 2.5).
func (c *cursor) version(s string) (minor int, err error) {
	number, ok := strings.CutPrefix(s, "HTTP/")
	if !ok || len(number) != 3 || !isNumber(number[:1]) || number[1] != '.' || !isNumber(number[2:]) {
		return 1, c.fault(Version, s)
	}
	if number[0] != '1' {
		return 1, c.fault(Major, s)
	}
	if number[2] == '0' {
		return 0, nil
	}
	return 1, nil
}

// host checks Host, and decides whom the request is for.
func (c *cursor) host(m *Request) error {
	hosts := m.Fields.Values("Host")
	if err := c.require(len(hosts) <= 1, HostOnce, strings.Join(hosts, "; ")); err != nil {
		return err
	}
	if err := c.require(len(hosts) > 0 || m.Minor == 0, HostMissing, m.Target); err != nil {
		return err
	}
	for _, h := range hosts {
		if isHostPort(h) {
			continue
		}
		var ignored Ease
		if m.Authority != "" {
			ignored = IgnoredHost
		}
		if err := c.ease(ignored, HostValue, h); err != nil {
			return err
		}
	}
	if m.Authority == "" && len(hosts) > 0 {
		m.Authority = hosts[0]
	}
	return nil
}

// body reads what follows the header.
func (c *cursor) body(m *Request) error {
	f, err := c.framing(m.Fields, m.Minor)
	if err != nil {
		return err
	}
	if m.Method == methodConnect {
		return c.require(!f.coded && f.length <= 0, ConnectContent, m.Target)
	}
	m.Last = c.used&(BothFramings|OldCoding) != 0
	switch {
	case f.endless:
		return ErrIncomplete
	case f.coded:
		m.Chunked = true
		m.Body, m.Trailers, err = c.chunks()
	case f.length > 0:
		m.Body, err = c.take(f.length)
	}
	return err
}
