package caddylb_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"

	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/caddylb/caddy-lb"
	_ "github.com/caddylb/caddy-lb/docs/examples/agent"
	_ "github.com/caddylb/caddy-lb/docs/examples/listfile"
	_ "github.com/caddylb/caddy-lb/docs/examples/nearby"
	_ "github.com/caddylb/caddy-lb/docs/examples/servertiming"
)

// examples are the modules of docs/modules.md. They are registered for the Caddyfiles there, and are not of this suite.
var examples = []string{
	"http.lb_proxy.filters.server_timing", "http.lb_proxy.health_checks.agent", "http.lb_proxy.selection.nearby",
}

// ourModules lists the IDs of the registered modules that are of this suite.
func ourModules(t *testing.T) []string {
	t.Helper()
	var ids []string
	for _, id := range caddy.Modules() {
		if slices.Contains(examples, id) {
			continue
		}
		if strings.HasPrefix(id, "http.lb_proxy.") || strings.HasPrefix(id, "http.handlers.lb_proxy") ||
			id == "lb" || strings.HasPrefix(id, "lb_") || strings.HasPrefix(id, "lb.") || strings.HasPrefix(id, "admin.api.lb") {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		t.Fatal("the root package registers no module")
	}
	return ids
}

// texts joins the files that match a pattern.
func texts(t *testing.T, pattern string) string {
	t.Helper()
	names, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(data)
		all.WriteByte('\n')
	}
	return all.String()
}

func TestEveryModuleIsDocumented(t *testing.T) {
	docs := texts(t, filepath.Join("docs", "*.md"))
	for _, id := range ourModules(t) {
		name := regexp.QuoteMeta(caddy.ModuleID(id).Name())
		if !regexp.MustCompile("`[^`\n]*\\b" + name + "\\b[^`\n]*`").MatchString(docs) {
			t.Errorf("no page in docs mentions `%s`", id)
		}
	}
}

func TestEveryModuleHasAGoldenFile(t *testing.T) {
	golden := texts(t, filepath.Join("caddytest", "adapt", "*.caddyfiletest"))
	for _, id := range ourModules(t) {
		if strings.HasPrefix(id, "admin.") {
			continue // stands in no configuration
		}
		if !strings.Contains(golden, `"`+caddy.ModuleID(id).Name()+`"`) {
			t.Errorf("no golden file in caddytest/adapt has %s in its JSON", id)
		}
	}
}

// fence is one Caddyfile in a page.
type fence struct {
	at        string // file:line
	text      string
	adaptOnly bool // needs something from outside, or names what is not there
}

// fenceStart opens a fenced Caddyfile; what follows the language is the info string.
var fenceStart = regexp.MustCompile("^```caddyfile(?:[ \t]+(.*))?$")

func fences(t *testing.T) []fence {
	t.Helper()
	pages, err := filepath.Glob(filepath.Join("docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	var found []fence
	for _, page := range append([]string{"README.md"}, pages...) {
		data, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		var open *fence
		for i, line := range strings.Split(string(data), "\n") {
			m := fenceStart.FindStringSubmatch(line)
			switch {
			case open == nil && m != nil:
				open = &fence{at: fmt.Sprintf("%s:%d", page, i+1), adaptOnly: strings.Contains(m[1], "adapt-only")}
			case open != nil && line == "```":
				found = append(found, *open)
				open = nil
			case open != nil:
				open.text += line + "\n"
			}
		}
		if open != nil {
			t.Errorf("%s: the fence is not closed", open.at)
		}
	}
	if len(found) == 0 {
		t.Fatal("no Caddyfile found in README.md and docs")
	}
	return found
}

func TestCaddyfilesInDocs(t *testing.T) {
	adapter := caddyconfig.GetAdapter("caddyfile")
	for _, f := range fences(t) {
		t.Run(f.at, func(t *testing.T) {
			adapted, _, err := adapter.Adapt([]byte(f.text), map[string]any{"filename": "Caddyfile"})
			if err != nil {
				t.Fatal(err)
			}
			if f.adaptOnly {
				return
			}
			if err := provision(t, adapted); err != nil {
				t.Error(err)
			}
		})
	}
}

// provision loads a configuration as far as that goes without serving it. Its storage is a directory of the test.
func provision(t *testing.T, adapted []byte) error {
	t.Helper()
	var raw map[string]any
	if err := json.Unmarshal(adapted, &raw); err != nil {
		return err
	}
	raw["storage"] = map[string]any{"module": "file_system", "root": t.TempDir()}
	raw["logging"] = map[string]any{"logs": map[string]any{"default": map[string]any{"level": "ERROR"}}}
	data, err := json.Marshal(raw)
	if err != nil {
		return err
	}
	var cfg caddy.Config
	if err := caddy.StrictUnmarshalJSON(data, &cfg); err != nil {
		return err
	}
	return caddy.Validate(&cfg)
}
