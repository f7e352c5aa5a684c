package selection

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
)

func TestFNV1aMatchesKnownHashes(t *testing.T) {
	for key, want := range map[string]uint64{
		"":           0xcbf29ce484222325,
		"a":          0xaf63dc4c8601ec8c,
		"foobar":     0x85944171f73967e8,
		"test":       0xf9e6e6ef197c2b25,
		"test1":      0x1f857c484dfd32fc,
		"doghash":    0xd8643048deb614f5,
		"/some/path": 0xcd079103098e47f4,
	} {
		if got := fnv1a(key); got != want {
			t.Errorf("%q: %#x, want %#x", key, got, want)
		}
	}
	if got, want := fnv1aOf(0x0102030405060708), fnv1a("\x08\x07\x06\x05\x04\x03\x02\x01"); got != want {
		t.Errorf("hash of a number %#x, want %#x", got, want)
	}
}

// pingoraThree are the backends of Pingora's tests.
var pingoraThree = []string{"1.1.1.1:80 1", "1.0.0.1:80 10", "1.0.0.255:80 1"}

func TestFNVMatchesPingoraFirstPicks(t *testing.T) {
	b := newBed(t, provisioned(t, &FNVHash{}), pingoraThree...)
	want := strings.Fields("1.0.0.1 1.0.0.1 1.0.0.255 1.1.1.1 1.0.0.1 1.0.0.1 1.0.0.1")
	for i, host := range want {
		if got := b.pick(fmt.Sprintf("test%d", i+1)); got != host+":80" {
			t.Errorf("key test%d: %s, want %s", i+1, got, host)
		}
	}
}

// TestFNVMatchesPingoraFallbacks follows the key "test", whose order in Pingora is b2 b2 b2 b1 b3 b2 …
func TestFNVMatchesPingoraFallbacks(t *testing.T) {
	b := newBed(t, provisioned(t, &FNVHash{}), pingoraThree...)
	b1, b2, b3 := b.find("1.1.1.1:80"), b.find("1.0.0.1:80"), b.find("1.0.0.255:80")
	if got := b.pick("test"); got != b2.Address().String() {
		t.Errorf("first pick %s, want %s", got, b2.Address())
	}
	if got := b.pick("test", b2); got != b1.Address().String() {
		t.Errorf("first fallback %s, want %s", got, b1.Address())
	}
	if got := b.pick("test", b2, b1); got != b3.Address().String() {
		t.Errorf("second fallback %s, want %s", got, b3.Address())
	}
	if got := b.pick("test", b2, b1, b3); got != "" {
		t.Errorf("%s picked with all tried", got)
	}
}

// TestFNVMaxIterationsCountsEveryStep has key "test" see b2 three times before b1: repetitions count.
func TestFNVMaxIterationsCountsEveryStep(t *testing.T) {
	for steps, want := range map[int]string{1: "", 3: "", 4: "1.1.1.1:80"} {
		b := newBed(t, provisioned(t, &FNVHash{Hashing{MaxIterations: steps}}), pingoraThree...)
		b.set(false, "1.0.0.1:80")
		if got := b.pick("test"); got != want {
			t.Errorf("max_iterations %d: %q, want %q", steps, got, want)
		}
	}
}

// TestFNVLeavesNoKeyWithoutABackend is Pingora's fault: 256 steps of a weight of 200 to 1 leave 29 % of the
// keys alone.
func TestFNVLeavesNoKeyWithoutABackend(t *testing.T) {
	for _, policy := range []string{"fnv_hash", "consistent", "maglev", "rendezvous"} {
		b := newBed(t, everyPolicy(t)[policy], "10.0.0.1:81 200", "10.0.0.1:82 1")
		b.set(false, "10.0.0.1:81")
		if got := b.count(1000); got["10.0.0.1:82"] != 1000 {
			t.Errorf("%s: %v, want all on 10.0.0.1:82", policy, got)
		}
	}
}

// TestFNVLongListsNeedNoTable compares the two forms of the list of backends repeated by weight.
func TestFNVLongListsNeedNoTable(t *testing.T) {
	weights := []string{"10.0.0.1:81 100000", "10.0.0.1:82 0", "10.0.0.1:83 200000", "10.0.0.1:84 7"}
	b := newBed(t, provisioned(t, &FNVHash{}), weights...)
	l := b.pool.Snapshot().Tiers[0].Picker.(*fnvPicker).fnvList
	if l.table != nil {
		t.Fatal("the list was written out")
	}
	for i := range 3000 {
		hash := fnv1a(strconv.Itoa(i))
		place, want := hash%300007, 0
		switch {
		case place >= 300000:
			want = 3
		case place >= 100000:
			want = 2
		}
		if got := l.first(hash); got != want {
			t.Fatalf("place %d: member %d, want %d", place, got, want)
		}
	}
}
