package filter

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
)

// routed is a Context whose answer and pool the test can look at.
type routed struct {
	*Context
	answer *httptest.ResponseRecorder
	extra  *caddyhttp.ExtraLogFields
	pool   string
}

// UsePool implements [Router].
func (r *routed) UsePool(name string) error {
	r.pool = name
	return nil
}

// newRouted returns the context of a request as the server hands it to lb_proxy. The client's address is client.
func newRouted(t testing.TB, r *http.Request, client string) *routed {
	t.Helper()
	x := &routed{answer: httptest.NewRecorder(), extra: new(caddyhttp.ExtraLogFields)}
	repl := caddyhttp.NewTestReplacer(r)
	ctx := context.WithValue(r.Context(), caddy.ReplacerCtxKey, repl)
	ctx = context.WithValue(ctx, caddyhttp.VarsCtxKey, map[string]any{caddyhttp.ClientIPVarKey: client})
	ctx = context.WithValue(ctx, caddyhttp.ExtraLogFieldsCtxKey, x.extra)
	made := MakeContext(x.answer, r.WithContext(ctx), "stable", zap.NewNop())
	x.Context = &made
	x.SetRouter(x)
	return x
}

// chainOf provisions filters and puts them in a chain.
func chainOf(t testing.TB, filters ...any) *Chain {
	t.Helper()
	var named []Named
	for _, f := range filters {
		if err := load(t, f); err != nil {
			t.Fatal(err)
		}
		named = append(named, Named{string(f.(caddy.Module).CaddyModule().ID), f})
	}
	c, err := NewChain(named, 0)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// load provisions and validates a module, and cleans it up with the test.
func load(t testing.TB, module any) error {
	t.Helper()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	t.Cleanup(cancel)
	if m, ok := module.(caddy.CleanerUpper); ok {
		t.Cleanup(func() { _ = m.Cleanup() })
	}
	if m, ok := module.(caddy.Provisioner); ok {
		if err := m.Provision(ctx); err != nil {
			return err
		}
	}
	if m, ok := module.(caddy.Validator); ok {
		return m.Validate()
	}
	return nil
}

// parse reads a filter as it stands behind "filter" in a Caddyfile.
func parse(f caddyfile.Unmarshaler, text string) error {
	return f.UnmarshalCaddyfile(caddyfile.NewTestDispenser(text))
}

// statusOf is the status that an error of a chain gives the client; 0 for no error.
func statusOf(t testing.TB, err error) int {
	t.Helper()
	if err == nil {
		return 0
	}
	var failed *Error
	if !errors.As(err, &failed) {
		t.Fatalf("%v (%T) is no *Error", err, err)
	}
	return failed.StatusCode
}

// wantError checks that parsing text failed with an error that names file and line and has want in it.
func wantError(t testing.TB, err error, text, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "Testfile:") {
		t.Errorf("%.80q: %v, want %q", text, err, want)
	}
}

// unmarshalJSON reads a filter from JSON, without what names it.
func unmarshalJSON(t testing.TB, f any, text string) {
	t.Helper()
	if err := caddy.StrictUnmarshalJSON([]byte(text), f); err != nil {
		t.Fatal(err)
	}
}

// nextFunc is what follows the request phase.
type nextFunc func() error

// Next calls it.
func (f nextFunc) Next() error { return f() }

// request runs the request phase, and reports whether the request went on.
func request(c *Chain, x *routed) (passed bool, err error) {
	err = c.Request(x.Context, nextFunc(func() error {
		passed = true
		return nil
	}))
	return passed, err
}
