package strict

import "strings"

// target reads the four forms of a request-target (RFC 9112, section 3.2).
func (c *cursor) target(m *Request) error {
	t := m.Target
	if m.Method == methodConnect {
		host, port, ok := cutPort(t)
		m.Authority = t
		return c.require(ok && host != "" && isNumber(port) && isHostPort(t), ConnectForm, t)
	}
	switch {
	case t == "*":
		m.Path = t
		return c.require(m.Method == methodOptions, Asterisk, t)
	case strings.HasPrefix(t, "/"):
		m.Path = t
		return c.path(t)
	}
	scheme, rest, ok := strings.Cut(t, "://")
	if !ok || scheme == "" || !only(scheme, letters+digits+"+-.") {
		return c.fault(TargetForm, t)
	}
	if !strings.EqualFold(scheme, "http") && !strings.EqualFold(scheme, "https") {
		return c.fault(Scheme, t)
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	m.Authority, m.Path = rest[:end], rest[end:]
	if at := strings.LastIndexByte(m.Authority, '@'); at >= 0 {
		if !isURI(m.Authority[:at], unreserved+subDelims+":") {
			return c.fault(UserInfo, t)
		}
		if err := c.ease(DroppedUserInfo, UserInfo, t); err != nil {
			return err
		}
		m.Authority = m.Authority[at+1:]
	}
	if err := c.require(isHostPort(m.Authority) && !strings.HasPrefix(m.Authority+":", ":"), HostValue, t); err != nil {
		return err
	}
	if !strings.HasPrefix(m.Path, "/") {
		m.Path = "/" + m.Path
	}
	return c.path(m.Path)
}

// path checks absolute-path [ "?" query ].
func (c *cursor) path(s string) error {
	if isURI(s, unreserved+subDelims+":@/?") {
		return nil
	}
	if strings.Contains(s, "#") {
		if err := c.ease(Hash, TargetChars, s); err != nil {
			return err
		}
		if s = strings.ReplaceAll(s, "#", ""); isURI(s, unreserved+subDelims+":@/?") {
			return nil
		}
	}
	if !isLoose(s) {
		return c.fault(TargetChars, s)
	}
	return c.ease(LooseTarget, TargetChars, s)
}

// cutPort splits the port off, which is behind the last colon.
func cutPort(s string) (host, port string, ok bool) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}
