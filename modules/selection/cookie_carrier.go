package selection

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// cookieCarrier carries the names of backends in a cookie.
type cookieCarrier struct {
	policy *Cookie
}

// find looks at every cookie of the name: a browser may hold several, of other paths and domains, which an
// earlier configuration left there.
func (c cookieCarrier) find(r *http.Request, names *stickyNames) (member int, ok bool) {
	eachCookie(r, c.policy.Name, func(a, b string) bool { return a == b }, func(value string) bool {
		member, ok = names.find(value)
		return !ok
	})
	return member, ok
}

// put sets the cookie, in place of one that an earlier try has set.
func (c cookieCarrier) put(r *Request, name string) {
	cookie := http.Cookie{
		Name:     c.policy.Name,
		Value:    name,
		Path:     "/",
		Domain:   c.policy.Domain,
		HttpOnly: c.policy.HTTPOnly == nil || *c.policy.HTTPOnly,
		Secure:   c.secure(r.HTTP),
	}
	if c.policy.Path != "" {
		cookie.Path = c.policy.Path
	}
	cookie.SameSite = c.sameSite(cookie.Secure)
	cookie.Partitioned = c.policy.Partitioned && cookie.Secure
	if c.policy.MaxAge > 0 {
		cookie.MaxAge = int(time.Duration(c.policy.MaxAge).Seconds())
	}
	c.drop(r.Writer.Header())
	http.SetCookie(r.Writer, &cookie)
}

// drop removes the cookie that an earlier try has set.
func (c cookieCarrier) drop(h http.Header) {
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

func (c cookieCarrier) secure(r *http.Request) bool {
	if c.policy.Secure != nil {
		return *c.policy.Secure
	}
	return isHTTPS(r)
}

// sameSite is the attribute of a cookie that is Secure or not. Browsers drop cookies with None that are not
// (RFC 6265bis, section 5.7), so that those are Lax.
func (c cookieCarrier) sameSite(secure bool) http.SameSite {
	switch {
	case c.policy.SameSite == SameSiteStrict:
		return http.SameSiteStrictMode
	case c.policy.SameSite == SameSiteLax || !secure:
		return http.SameSiteLaxMode
	default:
		return http.SameSiteNoneMode
	}
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
