package caddytest

import (
	"encoding/binary"
	"hash/crc32"
	"hash/fnv"
	"net"
	"sort"
	"strings"
	"testing"
)

// weighted is one backend as Pingora's selectors see it. Lists of them are sorted by address.
type weighted struct {
	addr   string // host:port
	weight int
}

// ketamaOwner is who a key belongs to on Pingora's ring, reckoned from its definition.
func ketamaOwner(backends []weighted, points int, key string) string {
	type point struct {
		hash  uint32
		owner string
	}
	var ring []point
	for _, b := range backends {
		host, port, _ := net.SplitHostPort(b.addr)
		base := crc32.ChecksumIEEE([]byte(host + "\x00" + port))
		var prev uint32
		for range points * b.weight {
			prev = crc32.Update(base, crc32.IEEETable, binary.LittleEndian.AppendUint32(nil, prev))
			ring = append(ring, point{prev, b.addr})
		}
	}
	sort.SliceStable(ring, func(i, j int) bool { return ring[i].hash < ring[j].hash })
	hash := crc32.ChecksumIEEE([]byte(key))
	i := sort.Search(len(ring), func(i int) bool { return ring[i].hash >= hash })
	return ring[i%len(ring)].owner
}

// fnvOwner is who Pingora's FNVHash gives a key to.
func fnvOwner(backends []weighted, key string) string {
	var list []string
	for _, b := range backends {
		for range b.weight {
			list = append(list, b.addr)
		}
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(key))
	return list[h.Sum64()%uint64(len(list))]
}

// What the tests compare with gives the values that Pingora's own tests have.
func TestPingoraHashes(t *testing.T) {
	two := []weighted{{"127.0.0.1:7777", 1}, {"127.0.0.1:7778", 1}}
	three := []weighted{{"127.0.0.1:12345", 1}, {"127.0.0.2:12345", 2}, {"127.0.0.3:12345", 3}}
	for _, c := range []struct {
		backends []weighted
		key      string
		want     string
	}{
		{two, "/some/path", "127.0.0.1:7778"},
		{two, "/some/longer/path", "127.0.0.1:7777"},
		{two, "/sad/zaidoon", "127.0.0.1:7778"},
		{two, "/g", "127.0.0.1:7777"},
		{two, "/pingora/team/is/cool/and/this/is/a/long/uri", "127.0.0.1:7778"},
		{two, "/i/am/not/confident/in/this/code", "127.0.0.1:7777"},
		{three, "some_key", "127.0.0.3:12345"},
		{three, "another_key", "127.0.0.3:12345"},
		{three, "last_key", "127.0.0.2:12345"},
	} {
		if got := ketamaOwner(c.backends, 160, c.key); got != c.want {
			t.Errorf("the ring gives %s to %s, want %s", c.key, got, c.want)
		}
	}
	sorted := []weighted{{"1.0.0.1:80", 10}, {"1.0.0.255:80", 1}, {"1.1.1.1:80", 1}}
	want := map[string]string{
		"test": "1.0.0.1:80", "test1": "1.0.0.1:80", "test2": "1.0.0.1:80", "test3": "1.0.0.255:80",
		"test4": "1.1.1.1:80", "test5": "1.0.0.1:80", "test6": "1.0.0.1:80", "test7": "1.0.0.1:80",
	}
	for key, owner := range want {
		if got := fnvOwner(sorted, key); got != owner {
			t.Errorf("FNV gives %s to %s, want %s", key, got, owner)
		}
	}
}

// pathKeys are paths to hash, Pingora's own among them.
func pathKeys() []string {
	keys := strings.Fields("/ /g /some/path /some/longer/path /sad/zaidoon /i/am/not/confident/in/this/code")
	for c := 'a'; c <= 'z'; c++ {
		keys = append(keys, "/"+string(c), "/user/"+string(c)+"/picture.png")
	}
	return keys
}

func consistentPolicy(t *testing.T, x pingoraExample) {
	b := sortedBackends(t, "A", "B", "C")
	s := x.start(t, addresses(b...))
	list := []weighted{{b[0].Addr, 1}, {b[1].Addr, 2}, {b[2].Addr, 3}}
	name := map[string]string{b[0].Addr: "A", b[1].Addr: "B", b[2].Addr: "C"}
	owners := make(map[string]bool)
	for _, key := range pathKeys() {
		want := name[ketamaOwner(list, 160, key)]
		owners[want] = true
		if got := s.Get(s.URL("PORT", key)).Backend(); got != want {
			t.Errorf("%s went to %s, want %s", key, got, want)
		}
	}
	if len(owners) != 3 {
		t.Errorf("all keys belong to %v", owners)
	}
	// Without one backend its keys alone move, each to the next on the ring.
	b[1].Down()
	without := []weighted{list[0], list[2]}
	for _, key := range pathKeys() {
		if got, want := s.Get(s.URL("PORT", key)).Backend(), name[ketamaOwner(without, 160, key)]; got != want {
			t.Errorf("without B %s went to %s, want %s", key, got, want)
		}
	}
}

func selectKey(t *testing.T, x pingoraExample) {
	b := sortedBackends(t, "A", "B", "C")
	s := x.start(t, addresses(b...))
	list := []weighted{{b[0].Addr, 1}, {b[1].Addr, 1}, {b[2].Addr, 1}}
	name := map[string]string{b[0].Addr: "A", b[1].Addr: "B", b[2].Addr: "C"}
	for i, user := range append(pathKeys(), "") {
		want := name[ketamaOwner(list, 40, user)]
		if got := s.Get(s.URL("PORT", "/"+strings.Repeat("x", i)), "X-User", user).Backend(); got != want {
			t.Errorf("user %q went to %s, want %s", user, got, want)
		}
	}
}

func fnvHashPolicy(t *testing.T, x pingoraExample) {
	b := sortedBackends(t, "A", "B", "C")
	s := x.start(t, addresses(b...))
	list := []weighted{{"A", 1}, {"B", 10}, {"C", 1}}
	owners := make(map[string]bool)
	for _, key := range pathKeys() {
		want := fnvOwner(list, key)
		owners[want] = true
		if got := s.Get(s.URL("PORT", key)).Backend(); got != want {
			t.Errorf("%s went to %s, want %s", key, got, want)
		}
	}
	if len(owners) != 3 {
		t.Errorf("all keys belong to %v", owners)
	}
}
