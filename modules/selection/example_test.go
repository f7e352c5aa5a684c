package selection_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddylb/caddy-lb/lb"
	"github.com/caddylb/caddy-lb/modules/selection"
)

func init() {
	caddy.RegisterModule(FirstByte{})
}

// FirstByte picks a backend by the first byte of the key, here the request's path.
type FirstByte struct{}

func (FirstByte) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: selection.Namespace + ".first_byte", New: func() caddy.Module { return new(FirstByte) }}
}

func (*FirstByte) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the policy's name; it takes no options
	return nil
}

func (FirstByte) Key(r *http.Request, _ *caddy.Replacer) string {
	return strings.TrimPrefix(r.URL.Path, "/")
}

func (FirstByte) NewPicker(tier *lb.Tier, _ lb.Picker) (lb.Picker, error) {
	return firstByte(tier.Selectable), nil
}

type firstByte []*lb.Member

func (f firstByte) Pick(p *lb.Pick) *lb.Member {
	start := 0
	if p.Key != "" {
		start = int(p.Key[0])
	}
	for i := range f {
		if m := f[(start+i)%len(f)]; p.Accepts(m) {
			return m
		}
	}
	return nil
}

// A policy of one's own: a Caddy module that compiles itself into a picker.
func Example_customPolicy() {
	pool := lb.NewPool("example", FirstByte{})
	var members []*lb.Member
	for _, port := range []string{"9001", "9002", "9003"} {
		address := lb.Address{Scheme: "http", Network: "tcp", Host: "127.0.0.1", Port: port}
		members = append(members, &lb.Member{Backend: lb.NewBackend(address, time.Now()), Weight: 1})
	}
	if err := pool.Update(members); err != nil {
		fmt.Println(err)
	}
	for _, path := range []string{"/apple", "/avocado", "/banana", "/cherry"} {
		r := httptest.NewRequest(http.MethodGet, path, http.NoBody)
		fmt.Println(path, pool.Snapshot().Pick(&lb.Pick{Key: FirstByte{}.Key(r, nil)}).Address())
	}
	// Output:
	// /apple 127.0.0.1:9002
	// /avocado 127.0.0.1:9002
	// /banana 127.0.0.1:9003
	// /cherry 127.0.0.1:9001
}

// Interface guards.
var (
	_ lb.Policy             = FirstByte{}
	_ selection.Keyer       = FirstByte{}
	_ caddyfile.Unmarshaler = (*FirstByte)(nil)
)
