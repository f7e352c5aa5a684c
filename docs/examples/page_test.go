// Package examples holds the modules of the page docs/modules.md, one in each directory, and tests that the page shows these files and that
// each of them works in a Caddy.
package examples

import (
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// fenced finds the text of a fence in the page, by its language.
var fenced = regexp.MustCompile("(?s)\n```(go|caddyfile)\\b[^\n]*\n(.*?\n)```\n")

func page(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "modules.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Each fence is the text of one file, and each file is on the page once.
func TestPageShowsTheseFiles(t *testing.T) {
	shown := map[string]int{}
	for _, m := range fenced.FindAllStringSubmatch(page(t), -1) {
		shown[m[2]]++
	}
	var names []string
	for _, pattern := range []string{"*/*.go", "*/Caddyfile"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, found...)
	}
	if len(names) < 9 {
		t.Fatalf("only %v found", names)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if n := shown[string(text)]; n != 1 {
			t.Errorf("docs/modules.md shows %s %d times, want it once and as it is", name, n)
		}
		delete(shown, string(text))
	}
	for text := range shown {
		t.Errorf("docs/modules.md shows what is in no file here:\n%s", text)
	}
}

// The table of phases has the methods' signatures as they are in package filter.
func TestPageHasEveryPhase(t *testing.T) {
	text := page(t)
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join("..", "..", "modules", "filter", "phases.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	exported := regexp.MustCompile(`\b(Context|Connection|Verdict)\b`)
	phases := 0
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok {
			return true
		}
		phase, ok := spec.Type.(*ast.InterfaceType)
		if !ok {
			return false
		}
		for _, method := range phase.Methods.List {
			phases++
			signature := strings.TrimPrefix(types.ExprString(method.Type), "func")
			signature = method.Names[0].Name + exported.ReplaceAllString(signature, "filter.$1")
			if !strings.Contains(text, "`"+signature+"`") {
				t.Errorf("docs/modules.md does not have `%s` of %s", signature, spec.Name.Name)
			}
		}
		return false
	})
	if phases < 13 {
		t.Errorf("only %d phases found", phases)
	}
}
