package lbproxy

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// place is where a handler stands in the configuration: its server, and the routes that lead to it.
// Equal places have equal keys, wherever they are written in a file.
type place struct {
	server *caddyhttp.Server
	steps  []step
}

// step is one route on the way to a handler, or what holds routes.
type step struct {
	holder string                   // what holds the routes, such as "errors"; empty for plain routes
	sets   []map[string]matcherText // the route's matcher sets, by the matchers' names
}

// matcherText is the configuration of a matcher as JSON.
type matcherText string

// in is the place behind one more step.
func (p place) in(s step) place {
	if s.holder == "" && len(s.sets) == 0 {
		return p
	}
	p.steps = append(slices.Clip(p.steps), s)
	return p
}

// routeStep is the step through a route.
func routeStep(r *caddyhttp.Route) step {
	var s step
	for _, set := range r.MatcherSets {
		s.sets = append(s.sets, matcherTexts(set))
	}
	return s
}

// matcherTexts is a set of matchers by name. A set has no order of its own, since it comes from a
// map.
func matcherTexts(set caddyhttp.MatcherSet) map[string]matcherText {
	texts := make(map[string]matcherText, len(set))
	for _, m := range set {
		name := fmt.Sprintf("%T", m)
		if module, ok := m.(caddy.Module); ok {
			name = module.CaddyModule().ID.Name()
		}
		texts[name] = textOf(m)
	}
	return texts
}

// textOf is a matcher's configuration. A negation has lost it to the matchers that it was loaded
// into.
func textOf(m any) matcherText {
	if not, ok := m.(*caddyhttp.MatchNot); ok {
		sets := make([]map[string]matcherText, len(not.MatcherSets))
		for i, set := range not.MatcherSets {
			sets[i] = matcherTexts(set)
		}
		m = sets
	}
	text, err := json.Marshal(m)
	if err != nil {
		return ""
	}
	return matcherText(text)
}

// MarshalJSON implements json.Marshaler.
func (t matcherText) MarshalJSON() ([]byte, error) {
	if t == "" {
		return []byte("null"), nil
	}
	return []byte(t), nil
}

// key tells places apart.
func (p place) key() string {
	var b strings.Builder
	_ = json.NewEncoder(&b).Encode(p.listen())
	for _, s := range p.steps {
		b.WriteString(s.key())
		b.WriteByte('\n')
	}
	return b.String()
}

func (s step) key() string {
	text, err := json.Marshal([]any{s.holder, s.sets}) // maps are encoded in the order of their keys
	if err != nil {
		return s.holder + fmt.Sprint(s.sets)
	}
	return string(text)
}

// listen is the server's addresses in order; none without a server.
func (p place) listen() []string {
	if p.server == nil {
		return nil
	}
	return slices.Sorted(slices.Values(p.server.Listen))
}

// name is the place as people know it: host and port, paths and methods, such as "a.example.com
// /api*". What it cannot show is there as a checksum, so that different places have different
// names.
func (p place) name() string {
	words := []string{""}
	hosts, hidden := "", make(map[string]bool)
	for _, s := range p.steps {
		if s.holder != "" {
			words = append(words, s.holder)
		}
		shown, unshown := s.words()
		if h := shown["host"]; h != "" && hosts == "" {
			hosts = h
		} else if h != "" {
			words = append(words, h)
		}
		for _, matcher := range []string{"path", "method"} {
			if shown[matcher] != "" {
				words = append(words, shown[matcher])
			}
		}
		for _, matcher := range unshown {
			hidden[matcher] = true
		}
	}
	var complete bool
	if words[0], complete = siteName(hosts, p.listen()); !complete {
		hidden[""] = true
	}
	name := strings.Join(slices.DeleteFunc(words, func(w string) bool { return w == "" }), " ")
	if len(name) > maxPlaceName {
		name = strings.ToValidUTF8(name[:maxPlaceName], "")
		hidden[""] = true
	}
	if len(hidden) > 0 {
		delete(hidden, "")
		name += " @" + strings.Join(slices.Sorted(maps.Keys(hidden)), "+") + "~" + checksum(p.key())
	}
	return name
}

// maxPlaceName bounds the readable part of a name, in bytes.
const maxPlaceName = 100

// words are the values of a step's matchers that are shown, by the matchers' names, and the names
// of those that are not. Of several sets, of which any may match, none is shown apart from a single
// matcher of one kind each.
func (s step) words() (shown map[string]string, unshown []string) {
	shown = make(map[string]string)
	for i, set := range s.sets {
		for name, text := range set {
			values, ok := plainValues(name, text)
			switch {
			case !ok || len(s.sets) > 1 && len(set) > 1:
				unshown = append(unshown, name)
			case i > 0 && shown[name] == "":
				unshown = append(unshown, name)
			case i > 0:
				shown[name] += "," + values
			default:
				shown[name] = values
			}
		}
		if i > 0 && len(shown) != 1 || i > 0 && len(set) == 0 {
			unshown = append(unshown, "any")
		}
	}
	return shown, unshown
}

// plainValues are a matcher's values, joined, if they can be read as they are.
func plainValues(matcher string, text matcherText) (string, bool) {
	switch matcher {
	case "host", "path", "method":
	default:
		return "", false
	}
	var values []string
	if json.Unmarshal([]byte(text), &values) != nil || len(values) == 0 {
		return "", false
	}
	for _, v := range values {
		if v == "" || strings.ContainsAny(v, ", @~") {
			return "", false
		}
	}
	return strings.Join(values, ","), true
}

// siteName is how a site is called: its hosts, with the port unless that is the one of HTTPS, or
// the addresses that its server listens on. It reports whether that says all there is about these.
func siteName(hosts string, listen []string) (name string, complete bool) {
	if hosts == "" {
		return strings.Join(listen, ","), true
	}
	if len(listen) != 1 {
		return hosts, len(listen) == 0
	}
	host, port, err := net.SplitHostPort(listen[0])
	if err != nil || host != "" {
		return hosts + " on " + listen[0], true
	}
	if port != "443" {
		hosts += ":" + port
	}
	return hosts, true
}

// checksum is a short text that stands for a long one.
func checksum(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:4])
}

// SiteStatus is a place that uses a pool, as the admin API shows it.
type SiteStatus struct {
	// Site is the place's name, as in the names of pools.
	Site string `json:"site"`

	// Server is the name of the server, Listen its addresses.
	Server string   `json:"server,omitempty"`
	Listen []string `json:"listen,omitempty"`

	// Hosts are the host names that lead there; none for all of them.
	Hosts []string `json:"hosts,omitempty"`

	// Matchers are the matcher sets of the routes that lead there, from the outermost to the
	// innermost.
	Matchers []json.RawMessage `json:"matchers,omitempty"`
}

// status describes the place.
func (p place) status() SiteStatus {
	out := SiteStatus{Site: p.name(), Listen: p.listen()}
	if p.server != nil {
		out.Server = p.server.Name()
	}
	for _, s := range p.steps {
		for _, set := range s.sets {
			var hosts []string
			if json.Unmarshal([]byte(set["host"]), &hosts) == nil {
				out.Hosts = append(out.Hosts, hosts...)
			}
		}
		if len(s.sets) > 0 {
			if text, err := json.Marshal(s.sets); err == nil {
				out.Matchers = append(out.Matchers, bytes.Clone(text))
			}
		}
	}
	return out
}
