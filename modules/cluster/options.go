package cluster

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddylb/caddy-lb/internal/adaptation"
)

// The defaults and bounds of [Options].
const (
	defaultPort    = "6379"
	defaultPrefix  = "caddy_lb"
	defaultTimeout = 50 * time.Millisecond
	maxTimeout     = 10 * time.Second
	maxPrefix      = 64 // bytes
)

// Options say where a Redis is and how it is used. Text may hold placeholders that are known at load, as {env.REDIS_PASSWORD}.
type Options struct {
	// URL is redis://[user:password@]host[:port][/db], or rediss:// for TLS. Default port: 6379. Default db: 0.
	URL string `json:"url"`

	// Username and Password are for Redis; they win over those of the URL. Without a user name Redis takes "default".
	Username string `json:"username,omitempty"`
	Password string `json:"password,omitempty"`

	// Prefix is what the names of all keys and channels begin with, so that several clusters can use one Redis. At most 64 bytes.
	// Default: caddy_lb.
	Prefix string `json:"prefix,omitempty"`

	// Timeout is how long a request waits for Redis, from 1ms to 10s. Default: 50ms.
	Timeout caddy.Duration `json:"timeout,omitempty"`

	// Required makes it an error at load when Redis does not answer. Without it, that is logged, and every instance decides alone until
	// Redis answers. What runs goes on without Redis either way.
	Required bool `json:"required,omitempty"`

	// TLS is for rediss://. Default: the system's authorities, and the host's name.
	TLS *TLS `json:"tls,omitempty"`
}

var errTLSWithout = errors.New("options for TLS stand beside redis://, which has none: write rediss://")

// target is options that were checked, with everything filled in.
type target struct {
	address            string // host:port
	db                 int
	username, password string
	prefix             string
	timeout            time.Duration
	tls                *tls.Config // nil for none

	name string // host:port/db, for logs and metrics, without secrets
	key  string // equal for equal targets; has secrets
}

// target checks the options and fills in placeholders and defaults.
func (o *Options) target() (*target, error) {
	repl := caddy.NewReplacer()
	fill := func(s string) string { return repl.ReplaceAll(s, "") }

	t, u, err := parseURL(fill(o.URL))
	if err != nil {
		return nil, err
	}
	t.username = cmp.Or(fill(o.Username), t.username)
	t.password = cmp.Or(fill(o.Password), t.password)
	if t.username != "" && t.password == "" {
		return nil, errors.New("the user name has no password: add 'password {env.REDIS_PASSWORD}' or take the user name away")
	}
	t.prefix = cmp.Or(fill(o.Prefix), defaultPrefix)
	if err := checkPrefix(t.prefix); err != nil {
		return nil, err
	}
	t.timeout = cmp.Or(time.Duration(o.Timeout), defaultTimeout)
	if err := checkTimeout(t.timeout); err != nil {
		return nil, err
	}
	var files string
	switch {
	case u.Scheme == "rediss":
		if t.tls, files, err = o.TLS.config(u.Hostname(), fill); err != nil {
			return nil, err
		}
	case o.TLS != nil:
		return nil, errTLSWithout
	}
	t.key = fmt.Sprintf("%q", []string{
		u.Scheme, t.name, t.username, t.password, t.prefix, t.timeout.String(), files,
	})
	return t, nil
}

// parseURL reads a URL without placeholders. Its errors do not show the URL, which may hold a password.
func parseURL(text string) (*target, *url.URL, error) {
	if text == "" {
		return nil, nil, errors.New("the URL of Redis is missing: write redis://host:6379")
	}
	u, err := url.Parse(text)
	if err != nil {
		if parse := (*url.Error)(nil); errors.As(err, &parse) {
			err = parse.Err
		}
		return nil, nil, fmt.Errorf("the URL of Redis cannot be read: %w: write redis://host:6379, and a password with special characters as 'password <text>'", err)
	}
	switch {
	case u.Scheme != "redis" && u.Scheme != "rediss":
		return nil, nil, fmt.Errorf("the scheme %q is not one of Redis: write redis://host:6379, or rediss:// for TLS", u.Scheme)
	case u.Hostname() == "":
		return nil, nil, errors.New("the URL of Redis has no host: write redis://host:6379")
	case u.RawQuery != "" || u.Fragment != "":
		return nil, nil, errors.New("the URL of Redis has a query or a fragment: write options into the block behind it")
	}
	t := &target{address: net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), defaultPort))}
	if db := strings.TrimPrefix(u.Path, "/"); db != "" {
		if t.db, err = strconv.Atoi(db); err != nil || t.db < 0 {
			return nil, nil, fmt.Errorf("the database %q is not a number: write redis://host:6379/0", db)
		}
	}
	if u.User != nil {
		t.username = u.User.Username()
		t.password, _ = u.User.Password()
	}
	t.name = fmt.Sprintf("%s/%d", t.address, t.db)
	return t, u, nil
}

func checkPrefix(prefix string) error {
	if len(prefix) > maxPrefix {
		return fmt.Errorf("the prefix has %d bytes, more than %d: write a shorter one", len(prefix), maxPrefix)
	}
	return nil
}

func checkTimeout(timeout time.Duration) error {
	if timeout < time.Millisecond || timeout > maxTimeout {
		return fmt.Errorf("the timeout %s is not within 1ms and %s: requests wait for it, so write some 50ms", timeout, maxTimeout)
	}
	return nil
}

// known is what the options are known by from a Caddyfile to their load: a limit may add Required.
func (o *Options) known() Options {
	k := *o
	k.Required = false
	return k
}

// locate adds to an error whose it is, and where it stands if that is known.
func (o *Options) locate(name string, err error) error {
	if at, ok := adaptation.Noted[string](o.known()); ok {
		return fmt.Errorf("%s: %w, at %s", name, err, at)
	}
	return fmt.Errorf("%s: %w", name, err)
}
