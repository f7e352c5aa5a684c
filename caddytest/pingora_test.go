package caddytest

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// pingoraTests holds a test for each example of docs/pingora.md, by the name in the comment above it.
var pingoraTests = map[string]func(*testing.T, pingoraExample){
	"try_from_iter":      tryFromIter,
	"from_backends":      fromBackends,
	"names":              dnsNames,
	"random":             randomPolicy,
	"consistent":         consistentPolicy,
	"select":             selectKey,
	"fnv_hash":           fnvHashPolicy,
	"fallbacks":          fallbackWeights,
	"tcp":                tcpCheck,
	"tls":                tlsCheck,
	"http":               httpCheck,
	"reuse_connection":   reuseConnection,
	"once":               checkOnce,
	"api":                metricsService,
	"set_enable":         setEnable,
	"HealthObserve":      healthObserve,
	"HttpPeer":           httpPeer,
	"new_mtls":           newMTLS,
	"filters":            requestAndResponseFilters,
	"phases":             phasesAsFilters,
	"fail_to_connect":    failToConnect,
	"max_retries":        maxRetries,
	"SelectionAlgorithm": selectionAlgorithm,
	"select_with":        selectWith,
	"HealthCheck":        customHealthCheck,
	"services":           severalServices,
	"uds":                unixSockets,
	"tls_settings":       tlsSettings,
	"grpc":               grpcBackends,
	"conf":               serverConfiguration,
	"flags":              commandLine,
	"signals":            signals,
}

// pingoraExample is one fence of docs/pingora.md.
type pingoraExample struct {
	name string
	lang string
	text string
}

var (
	exampleName = regexp.MustCompile(`^<!-- example: (\S+) -->$`)
	fenceOpen   = regexp.MustCompile("^```([a-z]+)")
)

// pingoraPage reads the examples of the page. Every fence has to have a name.
func pingoraPage(t *testing.T) map[string]pingoraExample {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "docs", "pingora.md"))
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]pingoraExample)
	var name string
	var open *pingoraExample
	for i, line := range strings.Split(string(data), "\n") {
		switch {
		case open != nil && line == "```":
			found[open.name] = *open
			open = nil
		case open != nil:
			open.text += line + "\n"
		case strings.HasPrefix(line, "```"):
			lang := fenceOpen.FindStringSubmatch(line)
			if lang == nil || name == "" {
				t.Fatalf("docs/pingora.md:%d: a fence needs a language, and a line <!-- example: name --> above", i+1)
			}
			if _, twice := found[name]; twice {
				t.Fatalf("docs/pingora.md:%d: the example %s is there twice", i+1, name)
			}
			open = &pingoraExample{name: name, lang: lang[1]}
			name = ""
		default:
			name = ""
			if m := exampleName.FindStringSubmatch(line); m != nil {
				name = m[1]
			}
		}
	}
	return found
}

// Every example of the page is run, and does what its row says.
func TestPingoraPage(t *testing.T) {
	examples := pingoraPage(t)
	for _, name := range slices.Sorted(maps.Keys(examples)) {
		test := pingoraTests[name]
		if test == nil {
			t.Errorf("nothing is asserted about the example %s", name)
			continue
		}
		t.Run(name, func(t *testing.T) { test(t, examples[name]) })
	}
	for name := range pingoraTests {
		if _, ok := examples[name]; !ok {
			t.Errorf("docs/pingora.md has no example %s", name)
		}
	}
}

// onThisMachine puts free ports in place of the page's, real backends in place of its backends, and checks
// that come often, with time to answer on a busy machine, in place of those of once a second.
var onThisMachine = strings.NewReplacer(
	":8080", ":{$PORT}", ":8081", ":{$PORT1}", ":8082", ":{$PORT2}", ":8443", ":{$PORT3}", ":6192", ":{$PORT4}",
	"127.0.0.1:9001", "{$A}", "127.0.0.1:9002", "{$B}", "127.0.0.1:9003", "{$C}", "127.0.0.1:9004", "{$D}",
	"127.0.0.1:9443", "{$SECURE}", "127.0.0.1:53", "{$DNS}",
	"health_check_frequency 1s", "health_check_frequency 50ms",
	"\n\t\t\ttimeout 1s", "\n\t\t\ttimeout 10s",
)

// caddyfile is the example as it is run.
func (x pingoraExample) caddyfile() string { return onThisMachine.Replace(x.text) }

// start runs a Caddyfile of the page.
func (x pingoraExample) start(t *testing.T, vars map[string]string) *Server {
	t.Helper()
	return Start(t, x.caddyfile(), vars)
}

// sortedBackends starts backends whose names and addresses have the same order.
func sortedBackends(t *testing.T, names ...string) []*Backend {
	t.Helper()
	ports := make([]string, len(names))
	for i := range ports {
		ports[i] = freePort(t)
	}
	slices.Sort(ports) // all have five digits
	all := make([]*Backend, len(names))
	for i, name := range names {
		all[i] = newBackendAt(t, name, "127.0.0.1:"+ports[i])
	}
	return all
}

// onlyPool is the name of the server's only pool.
func (s *Server) onlyPool() string {
	s.t.Helper()
	pools := s.pools()
	if len(pools) != 1 {
		s.t.Fatalf("%d pools, want one", len(pools))
	}
	return pools[0].Name
}

// order sends n requests one after another and lists who answered.
func (s *Server) order(url string, n int) string {
	s.t.Helper()
	var names []string
	for range n {
		names = append(names, s.Get(url).Backend())
	}
	return strings.Join(names, " ")
}

// rewrite replaces texts, given as old, new, old, new. Each has to be there.
func rewrite(t *testing.T, text string, pairs ...string) string {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			t.Fatalf("no %q in\n%s", pairs[i], text)
		}
		text = strings.ReplaceAll(text, pairs[i], pairs[i+1])
	}
	return text
}

func containsLine(text, line string) bool { return slices.Contains(strings.Split(text, "\n"), line) }
