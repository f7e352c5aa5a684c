package selection

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddylb/caddy-lb/lb"
)

// cookieNames is what the members of a tier are called in cookies, both ways. Finding one by a map gives
// nothing away by the time it takes: its hash is seeded at random.
type cookieNames struct {
	byIndex []string
	byName  map[string]int
}

func newCookieNames(secret string, members []*lb.Member) *cookieNames {
	n := &cookieNames{byIndex: make([]string, len(members)), byName: make(map[string]int, len(members))}
	for i, m := range members {
		name := cookieName(secret, m.Address().String())
		n.byIndex[i] = name
		n.byName[name] = i
	}
	return n
}

// cookieName is what the backend at this address is called in cookies.
func cookieName(secret, address string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	_, _ = mac.Write([]byte(address))
	return hex.EncodeToString(mac.Sum(nil))
}

// cookiePicker is the picker of [Cookie].
type cookiePicker struct {
	policy   *Cookie
	tier     *lb.Tier
	names    *cookieNames
	fallback lb.Picker
}

// Pick implements [lb.Picker] for callers without a request: they have no cookie.
func (c *cookiePicker) Pick(p *lb.Pick) *lb.Member { return c.fallback.Pick(p) }

// PickRequest implements [RequestPicker].
func (c *cookiePicker) PickRequest(r *Request) *lb.Member {
	if m := c.owner(r); m != nil {
		return c.kept(r, m)
	}
	m := pick(c.fallback, r)
	if m != nil && r.Writer != nil {
		c.remember(r, m)
	}
	return m
}

// kept implements [keeper]: what an earlier try has set does not hold any more.
func (c *cookiePicker) kept(r *Request, m *lb.Member) *lb.Member {
	if r.Writer != nil && r.Tried.Len() > 0 {
		c.forget(r.Writer.Header())
	}
	return m
}

// owner returns the member that the request's cookie names, if that member can take it.
func (c *cookiePicker) owner(r *Request) *lb.Member {
	value, ok := cookieValue(r.HTTP, c.policy.Name, func(a, b string) bool { return a == b })
	if !ok {
		return nil
	}
	i, ok := c.names.byName[value]
	if !ok || !c.tier.IsServing(i) {
		return nil
	}
	if m := c.tier.Members[i]; r.Accepts(m) {
		return m
	}
	return nil
}

// remember sets the cookie that names m, in place of one that an earlier try has set.
func (c *cookiePicker) remember(r *Request, m *lb.Member) {
	cookie := http.Cookie{
		Name:     c.policy.Name,
		Value:    c.names.byIndex[m.Index()],
		Path:     "/",
		HttpOnly: true,
		SameSite: http.SameSiteLaxMode,
	}
	if isHTTPS(r.HTTP) {
		cookie.Secure = true
		cookie.SameSite = http.SameSiteNoneMode
	}
	if c.policy.MaxAge > 0 {
		cookie.MaxAge = int(time.Duration(c.policy.MaxAge).Seconds())
	}
	c.forget(r.Writer.Header())
	http.SetCookie(r.Writer, &cookie)
}

// forget removes the cookie that an earlier try has set.
func (c *cookiePicker) forget(h http.Header) {
	set, ok := h["Set-Cookie"]
	if !ok {
		return
	}
	set = slices.DeleteFunc(set, func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return name == c.policy.Name
	})
	if len(set) == 0 {
		h.Del("Set-Cookie")
		return
	}
	h["Set-Cookie"] = set
}

// isHTTPS reports whether the client uses HTTPS, to this server or to a trusted proxy before it.
func isHTTPS(r *http.Request) bool {
	if r.TLS != nil {
		return true
	}
	if trusted, _ := caddyhttp.GetVar(r.Context(), caddyhttp.TrustedProxyVarKey).(bool); !trusted {
		return false
	}
	proto := r.Header["X-Forwarded-Proto"]
	return len(proto) > 0 && proto[len(proto)-1] == "https"
}

// Interface guard.
var _ RequestPicker = (*cookiePicker)(nil)
