package caddytest

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/caddylb/caddy-lb"
)

var update = flag.Bool("update", false, "rewrite the golden files from what the adapter says now")

// separator stands between a Caddyfile and what becomes of it, as in Caddy's own golden files.
const separator = "----------"

// TestAdapt adapts each golden Caddyfile and compares it with the JSON, or with the error, below the separator.
// Files named error_* have to fail, at the latest when provisioned; the others have to adapt.
func TestAdapt(t *testing.T) {
	names, err := filepath.Glob(filepath.Join("adapt", "*.caddyfiletest"))
	if err != nil {
		t.Fatal(err)
	}
	if len(names) == 0 {
		t.Fatal("no golden files")
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".caddyfiletest"), func(t *testing.T) {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			input, want, _ := strings.Cut(string(data), separator+"\n")
			got := outcome(t, input, strings.HasPrefix(filepath.Base(name), "error_"))
			if *update {
				if err := os.WriteFile(name, []byte(input+separator+"\n"+got+"\n"), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != strings.TrimSpace(want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// outcome is the indented JSON of a Caddyfile that has to adapt, or the error of one that has to fail.
func outcome(t *testing.T, input string, fails bool) string {
	t.Helper()
	if formatted := string(caddyfile.Format([]byte(input))); formatted != input {
		t.Errorf("the Caddyfile is not formatted; it should be\n%s", formatted)
	}
	adapted, err := adapt(input)
	if err == nil && fails {
		err = validate(t, adapted)
	}
	switch {
	case fails && err == nil:
		t.Fatalf("the configuration loads:\n%s", adapted)
	case fails:
		if !regexp.MustCompile(`Caddyfile:\d+`).MatchString(err.Error()) {
			t.Errorf("the error does not name file and line: %s", err)
		}
		return err.Error()
	case err != nil:
		t.Fatal(err)
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, adapted, "", "\t"); err != nil {
		t.Fatal(err)
	}
	return indented.String()
}

func adapt(input string) ([]byte, error) {
	adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(input), map[string]any{"filename": "Caddyfile"})
	return adapted, err
}

// validate provisions a configuration, with a storage of the test's own, and gives everything back.
func validate(t *testing.T, adapted []byte) error {
	t.Helper()
	var raw map[string]any
	if err := json.Unmarshal(adapted, &raw); err != nil {
		t.Fatal(err)
	}
	raw["storage"] = map[string]any{"module": "file_system", "root": t.TempDir()}
	raw["logging"] = map[string]any{"logs": map[string]any{"default": map[string]any{"level": "ERROR"}}}
	data, err := json.Marshal(raw)
	if err != nil {
		t.Fatal(err)
	}
	var cfg caddy.Config
	if err := caddy.StrictUnmarshalJSON(data, &cfg); err != nil {
		t.Fatal(err)
	}
	return caddy.Validate(&cfg)
}
