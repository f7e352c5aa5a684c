package caddytest

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
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

// TestAdapt adapts each golden Caddyfile and compares the warnings and the JSON, or the error, with
// what stands below the separator. Files named error_* have to fail, at the latest when
// provisioned; the others have to adapt. Files named warning_* have warnings alone below the
// separator.
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
			kind, _, _ := strings.Cut(filepath.Base(name), "_")
			got := outcome(t, input, kind)
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

// outcome is the warnings and the indented JSON of a Caddyfile that has to adapt, or the error of
// one that has to fail.
func outcome(t *testing.T, input, kind string) string {
	t.Helper()
	if formatted := string(caddyfile.Format([]byte(input))); formatted != input {
		t.Errorf("the Caddyfile is not formatted; it should be\n%s", formatted)
	}
	fails := kind == "error"
	adapted, warnings, err := adapt(input)
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
	var out bytes.Buffer
	for _, w := range warnings {
		fmt.Fprintf(&out, "warning: %s:%d: %s\n", w.File, w.Line, w.Message)
	}
	if kind == "warning" {
		if out.Len() == 0 {
			t.Error("there is no warning")
		}
		return strings.TrimSpace(out.String())
	}
	if err := json.Indent(&out, adapted, "", "\t"); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func adapt(input string) ([]byte, []caddyconfig.Warning, error) {
	return caddyconfig.GetAdapter("caddyfile").Adapt([]byte(input), map[string]any{"filename": "Caddyfile"})
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

// TestExampleHasNoMistakes adapts the example, which people begin with.
func TestExampleHasNoMistakes(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("..", "Caddyfile.example"))
	if err != nil {
		t.Fatal(err)
	}
	_, warnings, err := adapt(string(data))
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range warnings {
		t.Errorf("%s:%d: %s", w.File, w.Line, w.Message)
	}
}
