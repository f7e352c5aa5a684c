package selection

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/caddylb/caddy-lb/lb"
)

const testSecret = "0123456789abcdef"

// The signatures are what 'printf 10.0.0.1:81 | openssl dgst -sha256 -hmac 0123456789abcdef -binary | head -c 16 |
// basenc --base64url' prints, without the padding.
func TestStickyNameForms(t *testing.T) {
	for _, c := range []struct{ format, key, address, want string }{
		{"", "s3cret", "10.0.0.1:81", stockCookie("s3cret", "10.0.0.1:81")},
		{FormatHMAC, "", "[::1]:83", stockCookie("", "[::1]:83")},
		{FormatPlain, "", "10.0.0.1:81", "10.0.0.1:81"},
		{FormatPlain, "", "[fe80::1%eth0]:81", "[fe80::1%25eth0]:81"},
		{FormatPlain, "", "unix//run/a b;\"\\,ü.sock", "unix//run/a%20b%3B%22%5C%2C%C3%BC.sock"},
		{FormatSigned, testSecret, "10.0.0.1:81", "10.0.0.1:81.Uk2heCYaM6vQi3-7Jb6d5Q"},
	} {
		if got := stickyName(c.format, c.key, c.address); got != c.want {
			t.Errorf("%s of %s is %s, want %s", c.format, c.address, got, c.want)
		}
	}
}

// stickyMembers are members whose addresses have what can go wrong in a name.
func stickyMembers(t testing.TB) []*lb.Member {
	var members []*lb.Member
	for _, text := range []string{
		"10.0.0.1:81", "10.0.0.1:8", "[::1]:83", "a.internal:84", "unix//run/app.sock", "unix//run/a.b%c;=",
	} {
		members = append(members, member(t, text))
	}
	return members
}

func stickyFormats(t testing.TB) map[string]*stickyNames {
	members := stickyMembers(t)
	return map[string]*stickyNames{
		FormatHMAC:   newStickyNames(FormatHMAC, testSecret, members),
		FormatPlain:  newStickyNames(FormatPlain, "", members),
		FormatSigned: newStickyNames(FormatSigned, testSecret, members),
	}
}

// TestStickyNamesFindOnlyWhole names: not one that was cut, lengthened or changed in any octet.
func TestStickyNamesFindOnlyWhole(t *testing.T) {
	for format, names := range stickyFormats(t) {
		for want, name := range names.byIndex {
			if got, ok := names.find(name); !ok || got != want {
				t.Errorf("%s: %s is member %d, %v, want %d", format, name, got, ok, want)
			}
			bad := []string{name + "A", "A" + name, name[:len(name)-1] + "!", strings.Repeat(name, 1000), ""}
			for i := range len(name) {
				bad = append(bad, name[:i], name[i+1:], name[:i]+string(name[i]^1)+name[i+1:])
			}
			for _, name := range bad {
				if _, ok := names.find(name); ok && !slices.Contains(names.byIndex, name) {
					t.Errorf("%s: %q is found", format, name)
				}
			}
		}
	}
}

// TestStickySignaturesAreForOneSecretAndOneBackend gives members the signatures of others.
func TestStickySignaturesAreForOneSecretAndOneBackend(t *testing.T) {
	names := stickyFormats(t)[FormatSigned]
	for i, other := range newStickyNames(FormatSigned, testSecret+"x", stickyMembers(t)).byIndex {
		if _, ok := names.find(other); ok {
			t.Errorf("%s is found, of another secret", other)
		}
		signature := names.byIndex[(i+1)%len(names.byIndex)]
		signature = signature[strings.LastIndexByte(signature, '.'):]
		forged := names.public(other) + signature
		if _, ok := names.find(forged); ok {
			t.Errorf("%s is found, with the signature of another backend", forged)
		}
	}
}

// FuzzCookieValue reads Cookie header fields as clients may send them. A member is found exactly when net/http sees a
// cookie that has its whole name.
func FuzzCookieValue(f *testing.F) {
	formats := stickyFormats(f)
	for _, names := range formats {
		for _, name := range names.byIndex {
			f.Add("lb="+name, "")
			f.Add("a=b; lb=x; lb=\""+name+"\"; lb", "lb="+name)
		}
	}
	f.Add(strings.Repeat("lb=a;", 101)+"lb=10.0.0.1:81", " lb = .")
	f.Fuzz(func(t *testing.T, first, second string) {
		r := &http.Request{Header: http.Header{"Cookie": {first, second}}}
		for format, names := range formats {
			i, ok := cookieCarrier{&Cookie{Name: "lb"}}.find(r, names)
			sent := func(name string) bool {
				return slices.ContainsFunc(r.Cookies(), func(c *http.Cookie) bool { return c.Name == "lb" && c.Value == name })
			}
			if want := slices.ContainsFunc(names.byIndex, sent); ok != want || ok && !sent(names.byIndex[i]) {
				t.Errorf("%s: member %d, found %v, want %v", format, i, ok, want)
			}
			_, inField := names.find(first)
			if inField != slices.Contains(names.byIndex, first) {
				t.Errorf("%s: the field %q is found: %v", format, first, inField)
			}
		}
	})
}
