// Package tunnel says what makes a connection, or a stream of one, a tunnel: two peers that send
// each other what they like, which nobody on the way looks at any more. Two things do: an extended
// CONNECT (RFC 8441, RFC 9220), and a switch of protocols that was asked for (RFC 9110, section
// 7.8).
package tunnel

import (
	"net/http"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/caddylb/caddy-lb/internal/syntax"
)

// WebSocket is the protocol of RFC 6455, as Upgrade and :protocol name it.
const WebSocket = "websocket"

// Is reports whether what looks like the body of a request is one direction of a tunnel: a
// WebSocket over HTTP/2 or HTTP/3. A CONNECT without a protocol is none, nor is one over HTTP/1.1:
// those are requests with a body, as others are.
func Is(r *http.Request) bool { return Extended(r) == WebSocket }

// Extended is the protocol of an extended CONNECT; empty for any other request.
func Extended(r *http.Request) string {
	if r.Method != http.MethodConnect {
		return ""
	}
	switch r.ProtoMajor {
	case 2:
		if protocol := r.Header[":protocol"]; len(protocol) > 0 {
			return protocol[0]
		}
	case 3:
		if r.Proto != "HTTP/3.0" {
			return r.Proto // where quic-go puts it
		}
	}
	return ""
}

// Asked is the list of protocols that a client asks to switch to, in lower case and as Upgrade has
// it; empty for none. Only HTTP/1.1 has that. Other versions of HTTP, and TLS, are not in the list:
// they are for the receiver of the request to agree to, and a proxy that passed them on would not
// see the requests that follow.
func Asked(r *http.Request) string {
	if r.ProtoMajor != 1 || r.ProtoMinor < 1 || !nominated(r.Header) {
		return ""
	}
	upgrade := r.Header["Upgrade"]
	if len(upgrade) == 1 && upgrade[0] == WebSocket {
		return WebSocket
	}
	protocols := slices.DeleteFunc(split(upgrade), func(protocol string) bool {
		return !isProtocol(protocol) || changesVersion(protocol)
	})
	return strings.Join(protocols, separator)
}

// Switched is the list of protocols that an answer of 101 switches to. It is empty when the answer
// is not to be believed: each of them has to be among those asked for.
func Switched(asked string, answer http.Header) string {
	if asked == "" || !nominated(answer) {
		return ""
	}
	wanted, got := strings.Split(asked, separator), split(answer["Upgrade"])
	for _, protocol := range got {
		if !slices.Contains(wanted, protocol) {
			return ""
		}
	}
	return strings.Join(got, separator)
}

// Restrict lets a header ask for the given protocols, if it asks for any, and for no other.
func Restrict(header http.Header, asked string) {
	delete(header, "Http2-Settings") // belongs to an upgrade to h2c (RFC 7540, section 3.2.1)
	if _, ok := header["Upgrade"]; !ok {
		return
	}
	switch named := nominated(header); {
	case named && asked != "":
		header["Connection"] = []string{"Upgrade"}
		header["Upgrade"] = []string{asked}
	case named:
		delete(header, "Connection")
		fallthrough
	default:
		delete(header, "Upgrade")
	}
}

// separator is what stands between the protocols of a list of this package.
const separator = ", "

// nominated reports whether Connection names Upgrade, without which Upgrade means nothing.
func nominated(header http.Header) bool {
	connection := header["Connection"]
	return len(connection) > 0 && httpguts.HeaderValuesContainsToken(connection, "Upgrade")
}

// split is the members of a list field, in lower case, empty ones left out.
func split(lists []string) (members []string) {
	for _, list := range lists {
		for member := range strings.SplitSeq(list, ",") {
			if member = syntax.TrimBlanks(member); member != "" {
				members = append(members, strings.ToLower(member))
			}
		}
	}
	return members
}

// isProtocol reports whether s is a protocol's name, with or without a version (RFC 9110, section
// 7.8).
func isProtocol(s string) bool {
	name, version, ok := strings.Cut(s, "/")
	return syntax.IsToken(name) && (!ok || syntax.IsToken(version))
}

// changesVersion reports whether what follows a switch to the protocol, in lower case, is HTTP once
// more.
func changesVersion(protocol string) bool {
	name, _, _ := strings.Cut(protocol, "/")
	switch name {
	case "http", "tls", "h2", "h2c", "h3":
		return true
	}
	return false
}
