package filter

import (
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestPrefixSetEqualsAScan(t *testing.T) {
	// Few different bits, so that prefixes lie in each other and addresses in them.
	address := rapid.Custom(func(t *rapid.T) netip.Addr {
		bits := rapid.SampledFrom([]byte{0, 1, 127, 128, 255})
		if rapid.Bool().Draw(t, "v4") {
			return netip.AddrFrom4([4]byte{10, bits.Draw(t, "a"), bits.Draw(t, "b"), bits.Draw(t, "c")})
		}
		var a [16]byte
		for i := range 3 {
			a[5*i] = bits.Draw(t, "byte")
		}
		return netip.AddrFrom16(a).Unmap()
	})
	rapid.Check(t, func(t *rapid.T) {
		var prefixes []netip.Prefix
		for _, ip := range rapid.SliceOfN(address, 0, 30).Draw(t, "addresses") {
			prefixes = append(prefixes, netip.PrefixFrom(ip, rapid.IntRange(0, ip.BitLen()).Draw(t, "bits")).Masked())
		}
		set := newPrefixSet(slices.Clone(prefixes))
		for _, ip := range rapid.SliceOfN(address, 1, 30).Draw(t, "asked") {
			want := slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(ip) })
			if got := set.contains(ip); got != want {
				t.Fatalf("%s in %v: %v, want %v", ip, prefixes, got, want)
			}
		}
		if set.contains(netip.Addr{}) {
			t.Fatal("no address is in the set")
		}
	})
}

func TestParsePrefixes(t *testing.T) {
	for text, want := range map[string]string{
		"192.0.2.1":            "192.0.2.1/32",
		"10.1.2.3/8":           "10.0.0.0/8",
		"::ffff:192.0.2.1":     "192.0.2.1/32",
		"::ffff:10.1.2.3/104":  "10.0.0.0/8",
		"::ffff:10.1.2.3/64":   "::/64",
		"2001:db8::1":          "2001:db8::1/128",
		"fe80::1%eth0":         "fe80::1/128",
		"2001:db8:0:ffff::/32": "2001:db8::/32",
	} {
		got, err := parsePrefixes(text)
		if err != nil || len(got) != 1 || got[0].String() != want {
			t.Errorf("%s is %v, %v; want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "x", "10.0.0.0/33", "10.0.0", "10.0.0.0/8/8", "10.0.0.0-10.0.0.9", "fe80::1%eth0/64"} {
		if got, err := parsePrefixes(text); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
	if got, err := parsePrefixes(privateRanges); err != nil || len(got) < 6 {
		t.Errorf("%v, %v", got, err)
	}
}

func TestParsePrefixList(t *testing.T) {
	got, err := parsePrefixList("list", strings.NewReader("# ours\r\n10.0.0.0/8 # all\n\n  192.0.2.1\t\n#"))
	if err != nil || len(got) != 2 {
		t.Errorf("%v, %v", got, err)
	}
	_, err = parsePrefixList("list", strings.NewReader("10.0.0.0/8\n\n10.0.0.0 10.0.0.1\n"))
	if err == nil || !strings.Contains(err.Error(), "list:3: '10.0.0.0 10.0.0.1' is neither an address nor a CIDR prefix") {
		t.Error(err)
	}
}

func FuzzParsePrefixList(f *testing.F) {
	f.Add("10.0.0.0/8\n# x\n::1", "10.1.2.3")
	f.Add("private_ranges", "::ffff:10.0.0.1")
	f.Fuzz(func(t *testing.T, text, address string) {
		prefixes, err := parsePrefixList("list", strings.NewReader(text))
		ip, addressErr := netip.ParseAddr(address)
		if err != nil || addressErr != nil {
			t.Skip()
		}
		ip = plainAddress(ip)
		want := slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(ip) })
		if got := newPrefixSet(prefixes).contains(ip); got != want {
			t.Fatalf("%s in %q: %v", ip, text, got)
		}
	})
}

func BenchmarkPrefixSet(b *testing.B) {
	random := rand.New(rand.NewPCG(1, 2))
	prefixes := make([]netip.Prefix, 100_000)
	for i := range prefixes {
		var a [4]byte
		binary.BigEndian.PutUint32(a[:], random.Uint32())
		prefixes[i] = netip.PrefixFrom(netip.AddrFrom4(a), 20+random.IntN(13)).Masked()
	}
	set := newPrefixSet(slices.Clone(prefixes))
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		set.contains(prefixes[i%len(prefixes)].Addr())
	}
}

// A list in memory is no more than its entries, whatever is in the file.
func TestListsTakeLittleMemory(t *testing.T) {
	const size = 32 << 20
	measure := func(list io.Reader) (prefixes []netip.Prefix, allocated uint64, err error) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		prefixes, err = parsePrefixList("list", list)
		runtime.ReadMemStats(&after)
		return prefixes, after.TotalAlloc - before.TotalAlloc, err
	}
	_, allocated, err := measure(&repeated{text: "10.0.0.0/8 ", left: size})
	if err == nil || !strings.HasPrefix(err.Error(), "list:1: the line has more than") || allocated > 1<<20 {
		t.Errorf("one line of 32 MiB: %v, %d bytes", err, allocated)
	}
	prefixes, allocated, err := measure(&repeated{text: "# nothing, and much of it\n", left: size})
	if err != nil || len(prefixes) > 0 || allocated > 1<<20 {
		t.Errorf("comments: %v, %v, %d bytes", prefixes, err, allocated)
	}
	prefixes, allocated, err = measure(&repeated{text: "10.0.0.0/8\n", left: 11 << 20})
	if each := allocated / (1 << 20); err != nil || len(prefixes) != 1<<20 || each > 250 {
		t.Errorf("%d entries: %v, %d bytes each", len(prefixes), err, each)
	}
}

// repeated is a text over and over.
type repeated struct {
	text string
	from int
	left int
}

// Read implements io.Reader.
func (r *repeated) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), r.left)], r.text[r.from:])
	r.from, r.left = (r.from+n)%len(r.text), r.left-n
	return n, nil
}
