package caddytest

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// directive is reverse_proxy where it stands as a directive.
var directive = regexp.MustCompile(`(?m)^(\s*)reverse_proxy\b`)

// others are directives that make reverse_proxy handlers of their own, whatever stands beside them.
var others = regexp.MustCompile(`(?m)^\s*(php_fastcgi|forward_auth)\b`)

// goldenFile is one of the files by which Caddy tests its own Caddyfile adapter.
type goldenFile struct {
	name    string
	input   string // a Caddyfile
	want    string // indented JSON, or part of an error
	imports bool   // the directive stands in a file that the input imports
}

// fails reports whether the Caddyfile is one that must not adapt.
func (g goldenFile) fails() bool { return !strings.HasPrefix(g.want, "{") }

// renamed is the Caddyfile with the directive renamed.
func (g goldenFile) renamed() string { return renameDirective(g.input) }

// renamedWant is what is to come of renamed. Two of the files use the word as the name of a header field.
func (g goldenFile) renamedWant() string {
	if g.fails() {
		return strings.ReplaceAll(g.want, "'reverse_proxy'", "'lb_proxy'")
	}
	want := strings.ReplaceAll(g.want, `"handler": "reverse_proxy"`, `"handler": "lb_proxy"`)
	return strings.ReplaceAll(want, `"Reverse_proxy"`, `"Lb_proxy"`)
}

func renameDirective(caddyfile string) string {
	return directive.ReplaceAllString(caddyfile, "${1}lb_proxy")
}

// integrationTests is the directory of Caddy's integration tests, in the version that go.mod names.
func integrationTests(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/caddyserver/caddy/v2").Output()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(strings.TrimSpace(string(out)), "caddytest", "integration")
}

// stockGolden finds Caddy's golden files that have the directive, in the Caddyfile or in what it imports. It
// changes to a directory with the files that these name by relative paths, the directive renamed in them.
func stockGolden(t *testing.T) []goldenFile {
	t.Helper()
	from := integrationTests(t)
	importing := copyReferenced(t, from)
	names, err := filepath.Glob(filepath.Join(from, "caddyfile_adapt", "*"))
	if err != nil {
		t.Fatal(err)
	}
	var golden []goldenFile
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		input, want, _ := strings.Cut(string(data), separator)
		g := goldenFile{name: filepath.Base(name), input: strings.TrimSpace(input) + "\n", want: strings.TrimSpace(want)}
		for _, file := range importing {
			g.imports = g.imports || strings.Contains(input, "import "+file)
		}
		if g.imports || directive.MatchString(input) {
			golden = append(golden, g)
		}
	}
	return golden
}

// copyReferenced makes the working directory one in which relative paths lead to Caddy's test data, and returns
// the files in which it renamed the directive.
func copyReferenced(t *testing.T, from string) (renamed []string) {
	t.Helper()
	root := t.TempDir()
	if err := os.CopyFS(filepath.Join(root, "integration", "testdata"), os.DirFS(filepath.Join(from, "testdata"))); err != nil {
		t.Fatal(err)
	}
	t.Chdir(filepath.Join(root, "integration"))
	certificates, err := filepath.Glob(filepath.Join(from, "..", "*.c*er*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range certificates {
		copyFile(t, name, filepath.Join(root, filepath.Base(name)), func(s string) string { return s })
	}
	files, err := filepath.Glob(filepath.Join("testdata", "*.conf"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		copyFile(t, name, name, func(s string) string {
			if directive.MatchString(s) {
				renamed = append(renamed, name)
			}
			return renameDirective(s)
		})
	}
	return renamed
}

func copyFile(t *testing.T, from, to string, change func(string) string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, []byte(change(string(data))), 0o600); err != nil {
		t.Fatal(err)
	}
}
