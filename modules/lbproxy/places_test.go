package lbproxy

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// knowsServer is a handler of somebody else that leads back to the server it stands in.
type knowsServer struct {
	App *caddyhttp.App `json:"-"`

	Routes caddyhttp.RouteList `json:"routes,omitempty"`
}

func init() { caddy.RegisterModule(new(knowsServer)) }

// CaddyModule returns the Caddy module information.
func (*knowsServer) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.test_knows_server", New: func() caddy.Module { return new(knowsServer) }}
}

// Provision implements caddy.Provisioner.
func (k *knowsServer) Provision(ctx caddy.Context) error {
	for _, m := range ctx.Modules() {
		if app, ok := m.(*caddyhttp.App); ok {
			k.App = app
		}
	}
	return k.Routes.ProvisionHandlers(ctx, nil)
}

func (k *knowsServer) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	return next.ServeHTTP(w, r)
}

// Handlers that lead back to where they stand do not keep the walk from its end.
func TestWalkEndsWhereHandlersLeadBack(t *testing.T) {
	b := startBackend(t, text("here"))
	p := startProxy(t, upstreams(b.URL), serverOptions{before: strings.Repeat(`{"handler":"test_knows_server"},`, 40) + `{"handler":"headers"}`})
	if got := p.get("/"); got.body != "here" {
		t.Errorf("answered %d %q", got.status, got.body)
	}
}

// Of handlers within handlers of somebody else nobody knows which get a request. Those of one list
// do get in each other's way.
func TestUnreachableWithinOtherHandlers(t *testing.T) {
	proxy := func(port string) string {
		return `{"handle":[{"handler":"lb_proxy",` + upstreams("127.0.0.1:"+port) + `}]}`
	}
	startProxy(t, upstreams("127.0.0.1:1"), serverOptions{
		before: `{"handler":"test_knows_server","routes":[` + proxy("2") + `,` + proxy("3") + `]}`,
	})
	got := warningsLogged(t)
	if len(got) != 1 || !strings.HasPrefix(got[0], "lb_proxy to 127.0.0.1:3 can never be reached: lb_proxy to 127.0.0.1:2") {
		t.Errorf("warned of %q, want one warning about 127.0.0.1:3", got)
	}
}
