package caddytest

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// directive is reverse_proxy where it stands as a directive.
var directive = regexp.MustCompile(`(?m)^(\s*)reverse_proxy\b`)

// stockGolden finds the golden files of Caddy's own that have the directive.
func stockGolden(t *testing.T) map[string]string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/caddyserver/caddy/v2").Output()
	if err != nil {
		t.Fatal(err)
	}
	names, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(out)), "caddytest", "integration", "caddyfile_adapt", "*"))
	if err != nil {
		t.Fatal(err)
	}
	inputs := make(map[string]string)
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		input, _, _ := strings.Cut(string(data), "----------")
		if directive.MatchString(input) {
			inputs[filepath.Base(name)] = input
		}
	}
	if len(inputs) < 20 {
		t.Fatalf("only %d of Caddy's golden files have reverse_proxy", len(inputs))
	}
	return inputs
}

// TestStockCaddyfilesAdaptAlike renames reverse_proxy in every golden file of Caddy's own: the JSON has to be the
// same but for the handler's name.
func TestStockCaddyfilesAdaptAlike(t *testing.T) {
	for name, input := range stockGolden(t) {
		t.Run(name, func(t *testing.T) {
			stock, stockErr := adapt(input)
			if stockErr == nil && !strings.Contains(string(stock), `"handler":"reverse_proxy"`) {
				return // the name is something else there
			}
			renamed, renamedErr := adapt(directive.ReplaceAllString(input, "${1}lb_proxy"))
			if (stockErr == nil) != (renamedErr == nil) {
				t.Fatalf("reverse_proxy: %v\nlb_proxy: %v", stockErr, renamedErr)
			}
			if stockErr != nil {
				return
			}
			// php_fastcgi and forward_auth make reverse_proxy handlers under either name.
			got, want := normal(t, renamed), normal(t, stock)
			if !reflect.DeepEqual(got, want) {
				t.Errorf("renamed:\n%s\nstock:\n%s", renamed, stock)
			}
		})
	}
}

// normal parses a configuration with the handlers' names made equal.
func normal(t *testing.T, config []byte) any {
	t.Helper()
	var v any
	text := strings.ReplaceAll(string(config), `"handler":"lb_proxy"`, `"handler":"reverse_proxy"`)
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	return v
}
