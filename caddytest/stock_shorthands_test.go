package caddytest

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// goldenShorthands is how many of Caddy's golden files have forward_auth or php_fastcgi, in the
// version that go.mod names.
const goldenShorthands = 10

// shorthand is a directive that expands to a reverse_proxy, where it stands as a directive.
var shorthand = regexp.MustCompile(`(?m)^(\s*)(forward_auth|php_fastcgi)\b`)

// TestStockShorthands renames forward_auth and php_fastcgi in every golden file of Caddy's own that
// has one, and reverse_proxy beside them. What comes of it has to be what stands in the file, but
// for the names, and has to load.
func TestStockShorthands(t *testing.T) {
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	from := integrationTests(t)
	copyReferenced(t, from)
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	names, err := filepath.Glob(filepath.Join(from, "caddyfile_adapt", "*"))
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		input, want, _ := strings.Cut(string(data), separator)
		if !shorthand.MatchString(input) {
			continue
		}
		found++
		want = shorthandName.ReplaceAllString(want, "'lb_$1'")
		want = strings.ReplaceAll(want, `"./Caddyfile"`, `"`+filepath.Join(dir, "Caddyfile")+`"`)
		g := goldenFile{
			name:  filepath.Base(name),
			input: shorthand.ReplaceAllString(strings.TrimSpace(input)+"\n", "${1}lb_${2}"),
			want:  strings.TrimSpace(want),
		}
		t.Run(g.name, func(t *testing.T) {
			if g.fails() {
				failsAsGolden(t, g)
				return
			}
			adaptsToGolden(t, g)
			loadsAlike(t, g)
		})
	}
	if found != goldenShorthands {
		t.Errorf("%d files with a shorthand, want %d", found, goldenShorthands)
	}
}

// shorthandName is the directive's name in an error.
var shorthandName = regexp.MustCompile(`'(forward_auth|php_fastcgi)'`)
