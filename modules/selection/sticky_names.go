package selection

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"strings"

	"github.com/caddylb/caddy-lb/lb"
)

// Values of [Stickiness.Format].
const (
	FormatHMAC   = "hmac"
	FormatPlain  = "plain"
	FormatSigned = "signed"
)

// signatureSize is how many octets of the HMAC-SHA256 sign a name: half of them, the least that RFC 2104,
// section 5, recommends.
const signatureSize = sha256.Size / 2

// stickyNames is what the members of a tier are called towards clients, both ways. It is immutable.
type stickyNames struct {
	signed  bool
	longest int
	byIndex []string
	members map[string]int // by name; by the address in it where names are signed
}

func newStickyNames(format, key string, members []*lb.Member) *stickyNames {
	n := &stickyNames{
		signed:  format == FormatSigned,
		byIndex: make([]string, len(members)),
		members: make(map[string]int, len(members)),
	}
	for i, m := range members {
		name := stickyName(format, key, m.Address().String())
		n.byIndex[i] = name
		n.members[n.public(name)] = i
		n.longest = max(n.longest, len(name))
	}
	return n
}

// stickyName is what the backend at this address is called.
func stickyName(format, key, address string) string {
	switch format {
	case FormatPlain:
		return cookieOctets(address)
	case FormatSigned:
		readable := cookieOctets(address)
		return readable + "." + base64.RawURLEncoding.EncodeToString(keyedHash(key, readable)[:signatureSize])
	default:
		return hex.EncodeToString(keyedHash(key, address))
	}
}

// find returns the index of the member that a client calls so. What is secret in a name is compared in constant
// time, or by a map whose hashes are seeded at random, so that the time taken gives nothing away.
func (n *stickyNames) find(name string) (member int, ok bool) {
	if len(name) > n.longest {
		return 0, false
	}
	member, ok = n.members[n.public(name)]
	if ok && n.signed {
		ok = subtle.ConstantTimeCompare(textBytes(name), textBytes(n.byIndex[member])) == 1
	}
	return member, ok
}

// public is the part of a name by which its member is looked up: all of it, or what is signed. A name that
// lacks its signature has none.
func (n *stickyNames) public(name string) string {
	if !n.signed {
		return name
	}
	return name[:max(0, strings.LastIndexByte(name, '.'))]
}

func keyedHash(key, text string) []byte {
	mac := hmac.New(sha256.New, []byte(key))
	_, _ = mac.Write([]byte(text))
	return mac.Sum(nil)
}

// cookieOctets is text with what may not stand in a cookie's value (RFC 6265, section 4.1.1), and %, in percent
// encoding. Addresses stay readable.
func cookieOctets(text string) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(text) {
		c := text[i]
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`"%,;\`, c) >= 0 {
			b.WriteByte('%')
			b.WriteByte(digits[c>>4])
			b.WriteByte(digits[c&15])
			continue
		}
		b.WriteByte(c)
	}
	return b.String()
}
