package selection

import (
	"encoding/csv"
	"fmt"
	"hash/crc32"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/caddylb/caddy-lb/lb"
)

func ketamaBed(t *testing.T, c *Consistent, servers ...string) *bed {
	t.Helper()
	return newBed(t, provisioned(t, c), servers...)
}

// expect makes a pick for each key and compares the port or address that the answer ends in.
func (b *bed) expect(t *testing.T, want map[string]string) {
	t.Helper()
	for _, key := range sorted(want) {
		if got := b.pick(key); !strings.HasSuffix(got, want[key]) {
			t.Errorf("key %q: %s, want %s", key, got, want[key])
		}
	}
}

// along is the ring's owners from the key's point on, as ports.
func along(t *testing.T, b *bed, key string, n int) string {
	t.Helper()
	p := b.pool.Snapshot().Tiers[0].Picker.(*ringPicker)
	at := p.ring.at(crc32.ChecksumIEEE([]byte(key)))
	ports := make([]string, n)
	for i := range ports {
		owner := p.ring.owners[(at+i)%len(p.ring.owners)]
		ports[i] = p.tier.Members[owner].Address().Port
	}
	return strings.Join(ports, " ")
}

func TestKetamaMatchesPingora(t *testing.T) {
	var ten []string
	for i := 1; i <= 10; i++ {
		ten = append(ten, fmt.Sprintf("127.0.0.%d:6443", i))
	}
	letters := map[string]string{"a": "127.0.0.10:6443", "b": "127.0.0.5:6443"}
	b := ketamaBed(t, &Consistent{}, ten...)
	b.expect(t, letters)
	b.update(append(ten, "127.0.0.11:6443")...)
	b.expect(t, letters)

	ketamaBed(t, &Consistent{}, "127.0.0.1:7777", "127.0.0.1:7778").expect(t, map[string]string{
		"/some/path":        "7778",
		"/some/longer/path": "7777",
		"/sad/zaidoon":      "7778",
		"/g":                "7777",
		"/pingora/team/is/cool/and/this/is/a/long/uri": "7778",
		"/i/am/not/confident/in/this/code":             "7777",
	})
	ketamaBed(t, &Consistent{}, "127.0.0.1:12345", "127.0.0.2:12345 2", "127.0.0.3:12345 3").expect(t, map[string]string{
		"some_key": "127.0.0.3:12345", "another_key": "127.0.0.3:12345", "last_key": "127.0.0.2:12345",
	})
}

func TestKetamaWalksTheRingAsPingora(t *testing.T) {
	b := ketamaBed(t, &Consistent{}, "127.0.0.1:7777", "127.0.0.1:7778", "127.0.0.1:7779")
	if got, want := along(t, b, "doghash", 8), "7778 7779 7779 7777 7777 7778 7778 7779"; got != want {
		t.Errorf("along the ring %s, want %s", got, want)
	}
	b.update("127.0.0.1:7777", "127.0.0.1:7779")
	if got, want := along(t, b, "doghash", 5), "7779 7779 7777 7777 7779"; got != want {
		t.Errorf("along the ring without 7778 %s, want %s", got, want)
	}
	v6 := ketamaBed(t, &Consistent{}, "[::1]:7777", "[::1]:7778", "[::1]:7779")
	if got, want := along(t, v6, "doghash", 7), "7777 7778 7777 7778 7778 7777 7779"; got != want {
		t.Errorf("along the ring of IPv6 %s, want %s", got, want)
	}
}

func TestKetamaMovesOnlyTheLostBackendsKeys(t *testing.T) {
	b := ketamaBed(t, &Consistent{}, "1.1.1.1:80", "1.0.0.1:80", "1.0.0.255:80")
	want := strings.Fields("1.0.0.1 1.1.1.1 1.1.1.1 1.1.1.1 1.1.1.1 1.0.0.255 1.1.1.1 1.0.0.255 1.1.1.1 1.0.0.1")
	for i, host := range want {
		if got := b.pick(fmt.Sprintf("test%d", i)); got != host+":80" {
			t.Errorf("key test%d: %s, want %s", i, got, host)
		}
	}
	want[5], want[7] = "1.0.0.1", "1.1.1.1"
	b.set(false, "1.0.0.255:80")
	for i, host := range want {
		if got := b.pick(fmt.Sprintf("test%d", i)); got != host+":80" {
			t.Errorf("key test%d with one down: %s, want %s", i, got, host)
		}
	}
}

func TestRingPoints(t *testing.T) {
	b := ketamaBed(t, &Consistent{}, "127.0.0.1:7777", "127.0.0.1:7778")
	r := b.pool.Snapshot().Tiers[0].Picker.(*ringPicker).ring
	if len(r.hashes) != 320 {
		t.Fatalf("%d points, want 320", len(r.hashes))
	}
	hashes := []uint32{0x00168388, 0x00dbf33c, 0x01bf11fc, 0x02fb958d, 0x03f353a8}
	owners := []uint16{0, 1, 1, 1, 0}
	for i := range hashes {
		if r.hashes[i] != hashes[i] || r.owners[i] != owners[i] {
			t.Errorf("point %d: %08x of %d, want %08x of %d", i, r.hashes[i], r.owners[i], hashes[i], owners[i])
		}
	}
}

func TestRingLookup(t *testing.T) {
	r := newRing([]uint64{5<<32 | 1, 9<<32 | 2, 0xfffffff0<<32 | 3})
	for hash, want := range map[uint32]int{0: 0, 5: 0, 6: 1, 9: 1, 10: 2, 0xfffffff0: 2, 0xfffffff1: 0, 0xffffffff: 0} {
		if got := r.at(hash); got != want {
			t.Errorf("hash %#x: point %d, want %d", hash, got, want)
		}
	}
}

// nginxRows are keys and the port that nginx 1.22.1 chose for each, with `hash … consistent`.
func nginxRows(t *testing.T, name string) map[string]string {
	t.Helper()
	f, err := os.Open("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil || len(rows) < 1000 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	want := make(map[string]string, len(rows))
	for _, row := range rows {
		want[row[0]] = ":" + row[1]
	}
	return want
}

// weightedServers are the servers of nginx's rows: six ports from first on.
func weightedServers(host string, first int) []string {
	var s []string
	for i, weight := range []int{1, 2, 3, 5, 10, 1} {
		s = append(s, fmt.Sprintf("%s:%d %d", host, first+i, weight))
	}
	return s
}

func TestKetamaMatchesNginx(t *testing.T) {
	v4, v6 := nginxRows(t, "ketama-nginx-local-v4.csv"), nginxRows(t, "ketama-nginx-local-v6.csv")
	for _, compat := range []string{KetamaPingora, KetamaNginx} {
		ketamaBed(t, &Consistent{KetamaCompat: compat}, weightedServers("127.0.0.1", 23001)...).expect(t, v4)
	}
	ketamaBed(t, &Consistent{KetamaCompat: KetamaNginx}, weightedServers("[::1]", 23101)...).expect(t, v6)

	b, differ := ketamaBed(t, &Consistent{}, weightedServers("[::1]", 23101)...), 0
	for key, port := range v6 {
		if !strings.HasSuffix(b.pick(key), port) {
			differ++
		}
	}
	if differ != 721 {
		t.Errorf("without brackets %d rows differ from nginx, want 721", differ)
	}
}

func TestKetamaTexts(t *testing.T) {
	named := member(t, "10.0.0.1:80")
	named.Name = "api.internal"
	for _, test := range []struct {
		member         *lb.Member
		pingora, nginx string
	}{
		{member(t, "10.0.0.1:80"), "10.0.0.1 80", "10.0.0.1 80"},
		{member(t, "[fe80::1%eth0]:80"), "fe80::1 80", "[fe80::1%eth0] 80"},
		{member(t, "[0:0::1]:80"), "::1 80", "[0:0::1] 80"},
		{member(t, "unix//run/app.sock"), "/run/app.sock ", "/run/app.sock "},
		{named, "10.0.0.1 80", "api.internal 80"},
	} {
		host, port := pingoraText(test.member)
		if got := host + " " + port; got != test.pingora {
			t.Errorf("%s: pingora %q, want %q", test.member.Address(), got, test.pingora)
		}
		host, port = nginxText(test.member)
		if got := host + " " + port; got != test.nginx {
			t.Errorf("%s: nginx %q, want %q", test.member.Address(), got, test.nginx)
		}
	}
}

func TestSortByHashIsStable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		hashes := rapid.SliceOf(rapid.OneOf(rapid.Uint32(), rapid.Uint32Range(0, 3))).Draw(t, "hashes")
		points := make([]uint64, len(hashes))
		for i, h := range hashes {
			points[i] = uint64(h)<<32 | uint64(i)
		}
		want := slices.Sorted(slices.Values(points))
		if got := sortByHash(points); !slices.Equal(got, want) {
			t.Fatalf("sorted %x, want %x", got, want)
		}
	})
}

// TestRingCollisionsGoToTheSmallerAddress gives two addresses that differ in scheme alone the same points.
func TestRingCollisionsGoToTheSmallerAddress(t *testing.T) {
	pool := lb.NewPool("test", provisioned(t, &Consistent{}))
	secure := lb.NewBackend(lb.Address{Scheme: "https", Network: "tcp", Host: "10.0.0.1", Port: "80"}, time.Unix(0, 0))
	plain := member(t, "10.0.0.1:80")
	if err := pool.Update([]*lb.Member{{Backend: secure, Weight: 1}, plain}); err != nil {
		t.Fatal(err)
	}
	p := lb.Pick{Key: "/a"}
	if m := pool.Snapshot().Pick(&p); m.Backend != plain.Backend {
		t.Errorf("picked %s", m.Address().ID())
	}
	p.Tried.Add(plain.Backend)
	if m := pool.Snapshot().Pick(&p); m == nil || m.Backend != secure {
		t.Errorf("picked %v, want the one that lost all its points", m)
	}
}

func TestRingTooLarge(t *testing.T) {
	pool := lb.NewPool("test", provisioned(t, &Consistent{}))
	err := pool.Update([]*lb.Member{member(t, "10.0.0.1:80 1000000")})
	if err == nil || !strings.Contains(err.Error(), "divide the weights") {
		t.Errorf("error %v", err)
	}
}
