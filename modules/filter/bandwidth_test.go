package filter

import (
	"context"
	"errors"
	"io"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// download reads a body of n bytes through the filter, and reports how long that took. It runs on the clock of a synctest bubble.
func download(t *testing.T, c *Chain, x *routed, n int) time.Duration {
	t.Helper()
	begun := time.Now()
	body, err := c.ResponseBody(x.Context, io.NopCloser(strings.NewReader(strings.Repeat("x", n))))
	if err != nil {
		t.Error(err)
	}
	got, err := io.Copy(io.Discard, body)
	if err != nil || got != int64(n) {
		t.Errorf("got %d of %d bytes, %v", got, n, err)
	}
	return time.Since(begun)
}

// about reports whether got is within 2% of want.
func about(got, want time.Duration) bool { return (got - want).Abs() <= want/50 }

func TestBandwidthRate(t *testing.T) {
	for _, test := range []struct {
		rate, burst int64
		n           int
		want        time.Duration
	}{
		{1000, 0, 1000, 0},
		{1000, 0, 11000, 10 * time.Second},
		{1000, 5000, 11000, 6 * time.Second},
		{10, 0, 30, 2 * time.Second},
		{1, 0, 4, 3 * time.Second},
		{100 << 20, 0, 1100 << 20 / 10, 100 * time.Millisecond},
		{1000, 1, 1001, time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			c := chainOf(t, &Bandwidth{Download: test.rate, Burst: test.burst})
			x := newRouted(t, httptest.NewRequest("GET", "/", nil), "")
			if got := download(t, c, x, test.n); !about(got, test.want) {
				t.Errorf("%+v took %s", test, got)
			}
		})
	}
}

func TestBandwidthPer(t *testing.T) {
	clients := []string{"192.0.2.1", "192.0.2.1", "2001:db8::1", "2001:db8::ffff", "::ffff:192.0.2.1"}
	for per, want := range map[string][]time.Duration{ // of 1000 bytes beyond a burst of nearly nothing
		"request": {1, 1, 1, 1, 1},
		"client":  {3, 3, 2, 2, 3},
		"filter":  {5, 5, 5, 5, 5},
	} {
		synctest.Test(t, func(t *testing.T) {
			c := chainOf(t, &Bandwidth{Download: 1000, Burst: 10, Per: per})
			var all sync.WaitGroup
			for i, client := range clients {
				all.Go(func() {
					x := newRouted(t, httptest.NewRequest("GET", "/", nil), client)
					got := download(t, c, x, 1000)
					// Those that share a rate end one shortly after the other.
					if most := want[i] * time.Second; got > most+20*time.Millisecond || got < most-200*time.Millisecond {
						t.Errorf("per %s: %s took %s, want %s", per, client, got, most)
					}
				})
			}
			all.Wait()
		})
	}
}

func TestBandwidthUpload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := chainOf(t, &Bandwidth{Upload: 100})
		x := newRouted(t, httptest.NewRequest("POST", "/", nil), "")
		if got := download(t, c, x, 10000); got != 0 {
			t.Errorf("the answer took %s", got)
		}
		body, err := c.RequestBody(x.Context, io.NopCloser(strings.NewReader(strings.Repeat("x", 300))))
		if err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		if n, err := io.Copy(io.Discard, body); n != 300 || err != nil || !about(time.Since(begun), 2*time.Second) {
			t.Errorf("%d bytes took %s, %v", n, time.Since(begun), err)
		}
	})
}

func TestBandwidthEndsWithTheRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := chainOf(t, &Bandwidth{Download: 1, Burst: 1})
		ctx, cancel := context.WithCancel(t.Context())
		x := newRouted(t, httptest.NewRequest("GET", "/", nil).WithContext(ctx), "")
		body, _ := c.ResponseBody(x.Context, io.NopCloser(strings.NewReader("xxxx")))
		ended := make(chan error)
		go func() {
			_, err := io.Copy(io.Discard, body)
			ended <- err
		}()
		synctest.Wait()
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("ended with %v", err)
		}
	})
}

// What may pass is passed on at once, however much was asked for.
func TestBandwidthPassesWhatMayPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := chainOf(t, &Bandwidth{Download: 1000, Burst: 100})
		x := newRouted(t, httptest.NewRequest("GET", "/", nil), "")
		body, _ := c.ResponseBody(x.Context, io.NopCloser(strings.NewReader(strings.Repeat("x", 1000))))
		begun := time.Now()
		for i, want := range []struct {
			n     int
			after time.Duration
		}{{100, 0}, {50, 50 * time.Millisecond}, {50, 100 * time.Millisecond}} {
			n, err := body.Read(make([]byte, 4096))
			if n != want.n || err != nil || time.Since(begun) != want.after {
				t.Errorf("read %d: %d bytes after %s, %v; want %+v", i, n, time.Since(begun), err, want)
			}
		}
	})
}

func TestBandwidthCaddyfile(t *testing.T) {
	var f Bandwidth
	err := parse(&f, "bandwidth {\n upload 1MB/s\n download 500KiB/s\n per client\n burst 2MB\n}")
	if err != nil || f.Upload != 1_000_000 || f.Download != 500<<10 || f.Per != "client" || f.Burst != 2_000_000 {
		t.Errorf("%+v, %v", &f, err)
	}
	for text, want := range map[string]string{
		"bandwidth":                                "limits nothing",
		"bandwidth 1MB/s":                          "unexpected argument '1MB/s'",
		"bandwidth {\n burst 1MB\n}":               "limits nothing",
		"bandwidth {\n upload 1MB\n}":              "'1MB' is no rate above 0",
		"bandwidth {\n upload 0/s\n}":              "'0/s' is no rate above 0",
		"bandwidth {\n upload fast/s\n}":           "'fast/s' is no rate above 0",
		"bandwidth {\n download\n}":                "download lacks its value",
		"bandwidth {\n per host\n}":                "'host' is nothing that has a bandwidth",
		"bandwidth {\n burst none\n}":              "'none' is no size above 0",
		"bandwidth {\n speed 1\n}":                 "there is no option 'speed'",
		"bandwidth {\n per a\n}":                   "write 'per client|request|filter'",
		"bandwidth {\n upload 1/s\n upload 2/s\n}": "upload is set already",
	} {
		wantError(t, parse(new(Bandwidth), text), text, want)
	}
	for _, f := range []*Bandwidth{{}, {Upload: -1}, {Upload: 1, Burst: -1}, {Upload: 1, Per: "host"}} {
		if load(t, f) == nil {
			t.Errorf("%+v loads", f)
		}
	}
}

func TestRecentIsBounded(t *testing.T) {
	made := 0
	r := newRecent[netip.Addr](recentShards*4, func() int { made++; return made })
	first := netip.MustParseAddr("10.0.0.1")
	value := r.get(first)
	ip := first
	for range 10000 {
		ip = ip.Next()
		r.get(ip)
		if got := r.get(first); got != value {
			t.Fatalf("a key in use was forgotten: %d instead of %d", got, value)
		}
	}
	kept := 0
	for i := range r.shards {
		kept += len(r.shards[i].young) + len(r.shards[i].old)
	}
	if kept > recentShards*4 {
		t.Errorf("%d keys are kept", kept)
	}
	if before := made; r.get(first.Next()) != before+1 {
		t.Error("an old key was not forgotten")
	}
}
