package strict

import (
	"errors"
	"slices"
	"strings"
)

// Request2 reads the request of an HTTP/2 stream (RFC 9113, section 8). The error is a [*Fault], or
// [ErrIncomplete] when the stream has no end.
func (r Reader) Request2(st *Stream) (*Request, error) {
	c := &cursor{Reader: r}
	m := &Request{Minor: 1, Body: st.Body, Trailers: slices.Clone(st.Trailers)}
	pseudo, err := c.pseudo(m, st.Header)
	if err != nil {
		return nil, err
	}
	for i, f := range m.Fields {
		if err := c.field2(f); err != nil {
			return nil, err
		}
		m.Fields[i].Value = strings.Trim(f.Value, " \t")
	}
	if err := c.requestLine2(m, pseudo); err != nil {
		return nil, err
	}
	if err := c.host2(m, pseudo); err != nil {
		return nil, err
	}
	f, err := c.framing(m.Fields, 1)
	if err != nil {
		return nil, err
	}
	if err := c.content2(m, st, f); err != nil {
		return nil, err
	}
	m.Eased = c.used
	return m, nil
}

// pseudo splits a header section (RFC 9113, section 8.3).
func (c *cursor) pseudo(m *Request, header Fields) (map[string]string, error) {
	pseudo := make(map[string]string)
	for _, f := range header {
		if !strings.HasPrefix(f.Name, ":") {
			m.Fields = append(m.Fields, f)
			continue
		}
		if err := c.require(len(m.Fields) == 0, PseudoOrder, f.Name); err != nil {
			return nil, err
		}
		known := []string{":method", ":scheme", ":authority", ":path", ":protocol"}
		if err := c.require(slices.Contains(known, f.Name), PseudoKnown, f.Name); err != nil {
			return nil, err
		}
		_, twice := pseudo[f.Name]
		if err := c.require(!twice, PseudoOnce, f.Name); err != nil {
			return nil, err
		}
		pseudo[f.Name] = f.Value
	}
	return pseudo, nil
}

// field2 checks a field (RFC 9113, sections 8.2.1 and 8.2.2).
func (c *cursor) field2(f Field) error {
	if err := c.require(isToken(f.Name) && f.Name == strings.ToLower(f.Name), Name2, f.Name); err != nil {
		return err
	}
	if err := c.require(isContent(f.Value), Value2, f.Value); err != nil {
		return err
	}
	if f.Value != strings.Trim(f.Value, " \t") {
		if err := c.ease(Blanks2, Value2, f.Value); err != nil {
			return err
		}
	}
	switch f.Name {
	case "connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade":
		return c.fault(Connection2, f.Name)
	case "te":
		return c.require(f.Value == "trailers" || f.Value == "", TE2, f.Value)
	}
	return nil
}

// requestLine2 checks what HTTP/1.1 has in the request line (RFC 9113, sections 8.3.1 and 8.5; RFC
// 8441).
func (c *cursor) requestLine2(m *Request, pseudo map[string]string) error {
	m.Method, m.Target = pseudo[":method"], pseudo[":path"]
	_, hasScheme := pseudo[":scheme"]
	_, hasPath := pseudo[":path"]
	_, extended := pseudo[":protocol"]
	if extended || m.Method == methodConnect && !hasScheme && !hasPath {
		connect := m.Method == methodConnect && extended == hasScheme && extended == hasPath && pseudo[":authority"] != ""
		if err := c.require(connect, PseudoMissing, "CONNECT"); err != nil {
			return err
		}
		if !extended {
			m.Target = pseudo[":authority"]
			return c.target(m)
		}
	} else if err := c.require(hasScheme && hasPath && m.Method != methodConnect, PseudoMissing, m.Method); err != nil {
		return err
	}
	if err := c.require(isToken(m.Method), Method, m.Method); err != nil {
		return err
	}
	if s := pseudo[":scheme"]; s != "http" && s != "https" {
		return c.fault(Scheme, s)
	}
	if m.Target == "*" && m.Method == methodOptions {
		m.Path = "*"
		return nil
	}
	if err := c.require(strings.HasPrefix(m.Target, "/"), Path2, m.Target); err != nil {
		return err
	}
	m.Path = m.Target
	if path, query, _ := strings.Cut(m.Target, "?"); c.Allowed&PathSpace != 0 && strings.Contains(path, " ") {
		c.used |= PathSpace
		return c.path(strings.ReplaceAll(path, " ", "") + "?" + query)
	}
	return c.path(m.Path)
}

// host2 decides whom the request is for.
func (c *cursor) host2(m *Request, pseudo map[string]string) error {
	authority := pseudo[":authority"] // an empty one is none
	if strings.Contains(authority, "@") {
		return c.fault(UserInfo, authority)
	}
	if err := c.require(isHostPort(authority), HostValue, authority); err != nil {
		return err
	}
	hosts := m.Fields.Values("Host")
	if err := c.require(len(hosts) <= 1, HostOnce, strings.Join(hosts, "; ")); err != nil {
		return err
	}
	m.Authority = authority
	if len(hosts) == 0 {
		return nil
	}
	if err := c.require(isHostPort(hosts[0]), HostValue, hosts[0]); err != nil {
		return err
	}
	if authority != "" {
		return c.require(strings.EqualFold(hosts[0], authority), Authority2, hosts[0]+"; "+authority)
	}
	m.Authority = hosts[0]
	return nil
}

// content2 checks content and trailers. With EarlyEnd a body that has its length is the whole
// content, and so is one whose stream has ended before it shows a fault.
func (c *cursor) content2(m *Request, st *Stream, f framing) error {
	err := c.contentFault(m, st, f)
	if err == nil || c.Allowed&EarlyEnd == 0 {
		return err
	}
	switch {
	case f.length >= 0 && len(m.Body) >= f.length:
		m.Body, m.Trailers = m.Body[:f.length], nil
	case st.Ended && st.Err != nil:
		ended := *st
		ended.Err = nil
		if err := c.contentFault(m, &ended, f); err != nil {
			return err
		}
	default:
		return err
	}
	c.used |= EarlyEnd
	return nil
}

func (c *cursor) contentFault(m *Request, st *Stream, f framing) error {
	if st.Err != nil {
		return st.Err
	}
	for i, t := range m.Trailers {
		if err := c.require(!strings.HasPrefix(t.Name, ":"), PseudoKnown, t.Name); err != nil {
			return err
		}
		if err := c.field2(t); err != nil {
			var f *Fault
			hop := errors.As(err, &f) && f.Rule == Connection2
			if !hop || c.Allowed&HopTrailers == 0 {
				return err
			}
			c.used |= HopTrailers
		}
		m.Trailers[i].Value = strings.Trim(t.Value, " \t")
	}
	if !st.Ended {
		return ErrIncomplete
	}
	return c.require(!f.endless && (f.length < 0 || f.length == len(m.Body)), Length2, m.Target)
}
