package filter

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/caddylb/caddy-lb/lb"
)

// costly are the limits whose cost is watched.
var costly = map[string]string{
	"bucket": "rate_limit {client_ip} 10000000/s",
	"small":  "rate_limit {client_ip} 100/s",
	"window": "rate_limit {client_ip} 10000000/s {\n algorithm sliding_window\n}",
	"sketch": "rate_limit {client_ip} 10000000/s {\n sketch\n}",
	"dry":    "rate_limit {client_ip} 10000000/s {\n dry_run\n}",
}

// running has a filter's clock run as it does in production.
func running(t testing.TB, text string) *RateLimit {
	t.Helper()
	f := newTimed(t, text).RateLimit
	f.clock = lb.Monotonic
	return f
}

// answering is a request whose answer has the fields that Caddy sets before any handler.
func answering(client string) *Context {
	x := fromClient(httptest.NewRequest(http.MethodGet, "http://site/path", http.NoBody), client)
	x.Writer.Header().Set("Server", "Caddy")
	return x
}

func TestRateLimitAllocatesLittle(t *testing.T) {
	for name, text := range costly {
		f, x := running(t, text), answering("192.0.2.1")
		if n := testing.AllocsPerRun(1000, func() {
			header := x.Writer.Header()
			delete(header, "Ratelimit-Remaining")
			if _, err := f.Request(x); err != nil && name != "small" {
				t.Fatal(err)
			}
		}); n > 2 {
			t.Errorf("%s: %.1f allocations for a request, at most 2 are allowed", name, n)
		}
	}
}

func BenchmarkRateLimit(b *testing.B) {
	for name, text := range costly {
		if name == "small" {
			continue
		}
		b.Run(name, func(b *testing.B) {
			f, x := running(b, text), answering("192.0.2.1")
			b.ReportAllocs()
			for b.Loop() {
				delete(x.Writer.Header(), "Ratelimit-Remaining")
				if _, err := f.Request(x); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkRateLimitClients has 10,000 clients ask in turn, on each processor.
func BenchmarkRateLimitClients(b *testing.B) {
	all := make([][]*Context, runtime.GOMAXPROCS(0))
	for p := range all {
		all[p] = make([]*Context, 10_000)
		for i := range all[p] {
			all[p][i] = answering(fmt.Sprintf("10.0.%d.%d", i>>8, i&255))
		}
	}
	for name, text := range costly {
		b.Run(name, func(b *testing.B) {
			f := running(b, text)
			var processors atomic.Int32
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				contexts := all[processors.Add(1)-1]
				for i := 0; pb.Next(); i++ {
					x := contexts[i%len(contexts)]
					delete(x.Writer.Header(), "Ratelimit-Remaining")
					_, _ = f.Request(x)
				}
			})
		})
	}
}

// BenchmarkRateLimitRefused has one client ask far too often.
func BenchmarkRateLimitRefused(b *testing.B) {
	f, x := running(b, costly["small"]), answering("192.0.2.1")
	b.ReportAllocs()
	for b.Loop() {
		delete(x.Writer.Header(), "Ratelimit-Remaining")
		_, _ = f.Request(x)
	}
}

func BenchmarkMaxInflight(b *testing.B) {
	f, _ := newInflight(b, "max_inflight {client_ip} 1000")
	b.ReportAllocs()
	x := answering("192.0.2.1")
	for b.Loop() {
		if _, err := f.Request(x); err != nil {
			b.Fatal(err)
		}
		f.Logging(x, nil)
	}
}
