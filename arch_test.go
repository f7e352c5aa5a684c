package caddylb_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The rules of the repository are tests: this file has what they share, and the direction of dependencies.

const modulePath = "github.com/caddylb/caddy-lb"

// goFile is one parsed Go file of this module.
type goFile struct {
	path string // slash-separated, relative to the root
	fset *token.FileSet
	file *ast.File
}

func (f goFile) isTest() bool { return strings.HasSuffix(f.path, "_test.go") }

// line is the line on which a node ends or begins.
func (f goFile) line(p token.Pos) int { return f.fset.Position(p).Line }

// files lists the repository's files, relative and slash-separated, without what git or a build leaves there.
func files(t *testing.T) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && slices.Contains([]string{".git", "bin", "dist", "node_modules"}, d.Name()) {
			return fs.SkipDir
		}
		if d.Type().IsRegular() {
			found = append(found, filepath.ToSlash(p))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) < 20 {
		t.Fatalf("only %d files found: the test does not run in the repository's root", len(found))
	}
	return found
}

// goFiles parses every Go file, comments included.
func goFiles(t *testing.T) []goFile {
	t.Helper()
	var parsed []goFile
	for _, p := range files(t) {
		if path.Ext(p) != ".go" || strings.Contains(p, "testdata/") {
			continue
		}
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, filepath.FromSlash(p), nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		parsed = append(parsed, goFile{p, fset, f})
	}
	return parsed
}

// layer says what the packages below one directory may import of this module, and whether they may know Caddy
// and HTTP. Tests keep to the first as well; what they need from outside is their own affair.
type layer struct {
	dir      string
	may      []string // directories; a package may always import from below its own layer's directory
	caddy    bool
	http     bool
	external bool // anything besides the standard library and Caddy
}

// layers is docs/architecture.md as a table. The most specific directory holds.
var layers = []layer{
	{dir: "lb"},
	{dir: "internal/module", caddy: true, external: true},
	{dir: "internal/adaptation", caddy: true, external: true},
	{dir: "internal", may: []string{"lb"}, http: true, external: true},
	{dir: "modules/selection", may: []string{"lb", "internal"}, caddy: true, http: true, external: true},
	{dir: "modules/healthcheck", may: []string{"lb", "internal"}, caddy: true, http: true, external: true},
	{dir: "modules/discovery", may: []string{"lb", "internal"}, caddy: true, http: true, external: true},
	{dir: "modules/filter", may: []string{"lb", "internal"}, caddy: true, http: true, external: true},
	{dir: "modules/cluster", may: []string{"lb", "internal"}, caddy: true, external: true},
	{dir: "modules/lbproxy", may: []string{"lb", "internal", "modules"}, caddy: true, http: true, external: true},
	{dir: "cmd", may: []string{"."}, caddy: true},
	{dir: "caddytest", may: []string{"."}, caddy: true, http: true, external: true},
	// Modules as others write them: they see what others see.
	{dir: "docs", may: []string{".", "lb", "modules"}, caddy: true, http: true, external: true},
	{dir: ".", may: []string{"modules"}},
}

func layerOf(dir string) (layer, bool) {
	for _, l := range layers {
		if l.dir == "." && dir == "." || l.dir != "." && below(dir, l.dir) {
			return l, true
		}
	}
	return layer{}, false
}

// below reports whether dir is root or a directory in it. The root of the repository contains only itself.
func below(dir, root string) bool { return dir == root || strings.HasPrefix(dir, root+"/") }

func TestDependenciesPointOneWay(t *testing.T) {
	for _, f := range goFiles(t) {
		dir := path.Dir(f.path)
		if below(dir, "bench") {
			continue // a module of its own, which nothing imports
		}
		l, ok := layerOf(dir)
		if !ok {
			t.Errorf("%s: no layer for %s: add it to the table here and to docs/architecture.md", f.path, dir)
			continue
		}
		for _, spec := range f.file.Imports {
			imported := strings.Trim(spec.Path.Value, `"`)
			if reason := l.forbids(dir, imported, f.isTest()); reason != "" {
				t.Errorf("%s:%d: %s may not import %s: %s", f.path, f.line(spec.Pos()), l.dir, imported, reason)
			}
		}
	}
}

// forbids returns why a package in dir, which is of layer l, may not import a package, or nothing.
func (l layer) forbids(dir, imported string, test bool) string {
	own, isOwn := strings.CutPrefix(imported+"/", modulePath+"/")
	if isOwn {
		own = strings.TrimSuffix(own, "/")
		if own == "" {
			own = "."
		}
		if below(own, l.dir) || slices.ContainsFunc(l.may, func(m string) bool { return below(own, m) }) {
			return ""
		}
		// The root's tests look at the whole suite.
		if test && dir == "." {
			return ""
		}
		return "that arrow points the wrong way"
	}
	if test {
		return ""
	}
	switch {
	case imported == "net/http" || strings.HasPrefix(imported, "net/http/"):
		if !l.http {
			return "it does not know HTTP"
		}
	case strings.HasPrefix(imported, "github.com/caddyserver/"):
		if !l.caddy {
			return "it does not know Caddy"
		}
	case strings.Contains(strings.SplitN(imported, "/", 2)[0], "."):
		if !l.external {
			return "it needs nothing but the standard library"
		}
	}
	return ""
}

func TestRootImportsModulesOnly(t *testing.T) {
	for _, f := range goFiles(t) {
		if path.Dir(f.path) != "." || f.isTest() {
			continue
		}
		for _, spec := range f.file.Imports {
			if spec.Name == nil || spec.Name.Name != "_" {
				t.Errorf("%s:%d: the root package imports modules blank, to register them, and nothing else",
					f.path, f.line(spec.Pos()))
			}
		}
		if len(f.file.Decls) > 1 {
			t.Errorf("%s: the root package declares nothing but its imports", f.path)
		}
	}
}
