package caddytest

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"
)

// What Caddy's golden files have in the version that go.mod names. Another version may have more; then these
// have to be compared, too.
const (
	goldenWithDirective = 37 // reverse_proxy in the Caddyfile
	goldenWithImport    = 2  // reverse_proxy in a file that the Caddyfile imports
	goldenBesideOthers  = 1  // reverse_proxy beside php_fastcgi or forward_auth, which make such handlers themselves
	goldenErrors        = 2
)

// TestStockCaddyfiles renames reverse_proxy in every golden file of Caddy's own that has it. What comes of it has to be
// what stands in the file, but for the directive's name, and has to load as it does under the old name.
func TestStockCaddyfiles(t *testing.T) {
	// Caddy writes an identifier of the instance there.
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	var direct, imported, beside, failed, loaded, refused int
	for _, g := range stockGolden(t) {
		if others.MatchString(g.input) {
			beside++
			t.Run(g.name, func(t *testing.T) { sameUnderEitherName(t, g) })
			continue
		}
		if g.imports {
			imported++
		} else {
			direct++
		}
		if g.fails() {
			failed++
			t.Run(g.name, func(t *testing.T) { failsAsGolden(t, g) })
			continue
		}
		t.Run(g.name, func(t *testing.T) {
			adaptsToGolden(t, g)
			if loadsAlike(t, g) {
				loaded++
			} else {
				refused++
			}
		})
	}
	t.Logf("%d files and %d with imports were compared with what Caddy expects, %d of them with an error; "+
		"%d load under both names, %d fail to load alike", direct, imported, failed, loaded, refused)
	got := [...]int{direct, imported, beside, failed, loaded + refused}
	want := [...]int{
		goldenWithDirective, goldenWithImport, goldenBesideOthers, goldenErrors,
		goldenWithDirective + goldenWithImport - goldenErrors,
	}
	if got != want {
		t.Errorf("files, with imports, beside other directives, with an error, loaded: %v, want %v", got, want)
	}
}

// adaptsToGolden compares the JSON of the renamed Caddyfile with the file's, letter by letter.
func adaptsToGolden(t *testing.T, g goldenFile) {
	t.Helper()
	adapted, err := adaptHere(g.renamed())
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	if err := json.Indent(&got, adapted, "", "\t"); err != nil {
		t.Fatal(err)
	}
	if want := g.renamedWant(); got.String() != want {
		t.Errorf("got\n%s\nwant\n%s", got.String(), want)
	}
}

// failsAsGolden compares the error of the renamed Caddyfile with the file's.
func failsAsGolden(t *testing.T, g goldenFile) {
	t.Helper()
	_, err := adaptHere(g.renamed())
	if err == nil {
		t.Fatalf("it adapts; want the error %q", g.renamedWant())
	}
	if !strings.Contains(err.Error(), g.renamedWant()) {
		t.Errorf("got the error\n%s\nwant in it\n%s", err, g.renamedWant())
	}
}

// sameUnderEitherName compares the JSON of a Caddyfile with that of the renamed one.
func sameUnderEitherName(t *testing.T, g goldenFile) {
	t.Helper()
	stock, err := adaptHere(g.input)
	if err != nil {
		t.Fatal(err)
	}
	renamed, err := adaptHere(g.renamed())
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(stock, renamed) {
		t.Error("renaming the directive changes nothing")
	}
	if got, want := normal(t, renamed), normal(t, stock); !reflect.DeepEqual(got, want) {
		t.Errorf("renamed:\n%s\nstock:\n%s", renamed, stock)
	}
}

// loadsAlike provisions the configuration under both names and reports whether it loads. An error has to be the same.
func loadsAlike(t *testing.T, g goldenFile) bool {
	t.Helper()
	stock, renamed := validate(t, []byte(g.want)), validate(t, []byte(g.renamedWant()))
	switch {
	case stock == nil && renamed == nil:
		return true
	case stock == nil || renamed == nil:
		t.Errorf("reverse_proxy: %v\nlb_proxy: %v", stock, renamed)
	case strings.ReplaceAll(stock.Error(), "http.handlers.reverse_proxy", "http.handlers.lb_proxy") != renamed.Error():
		t.Errorf("the errors differ:\nreverse_proxy: %v\nlb_proxy: %v", stock, renamed)
	}
	return false
}

// adaptHere adapts a Caddyfile that stands in the working directory. Caddy looks for relative imports beside the file,
// and in the directory that the process began in if the name of the file is relative, too.
func adaptHere(caddyfile string) ([]byte, error) {
	dir, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(caddyfile), map[string]any{"filename": filepath.Join(dir, "Caddyfile")})
	return adapted, err
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
