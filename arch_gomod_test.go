package caddylb_test

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// goMod is the part of `go mod edit -json` that the rules look at.
type goMod struct {
	Require []struct{ Path, Version string }
	Replace []struct {
		Old struct{ Path string }
	}
}

func readGoMod(t *testing.T, file string) goMod {
	t.Helper()
	var mod goMod
	if err := json.Unmarshal(goCommand(t, "mod", "edit", "-json", file), &mod); err != nil {
		t.Fatal(err)
	}
	return mod
}

func goCommand(t *testing.T, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return out
}

// xcaddy builds from a module of its own, where our replacements would not hold.
func TestGoModReplacesNothing(t *testing.T) {
	for _, r := range readGoMod(t, "go.mod").Replace {
		t.Errorf("go.mod replaces %s", r.Old.Path)
	}
}

// A version above Caddy's would be forced on everyone who adds the suite to a Caddy.
func TestVersionsAreCaddys(t *testing.T) {
	const caddyPath = "github.com/caddyserver/caddy/v2"
	dir := strings.TrimSpace(string(goCommand(t, "list", "-m", "-f", "{{.Dir}}", caddyPath)))
	ours := make(map[string]string)
	for _, r := range readGoMod(t, "go.mod").Require {
		ours[r.Path] = r.Version
	}
	caddys := readGoMod(t, filepath.Join(dir, "go.mod")).Require
	if len(caddys) < 20 || ours[caddyPath] == "" {
		t.Fatalf("go.mod files not understood: Caddy requires %d modules, we require Caddy %q", len(caddys), ours[caddyPath])
	}
	for _, r := range caddys {
		if v, ok := ours[r.Path]; ok && v != r.Version {
			t.Errorf("go.mod requires %s %s, and Caddy %s", r.Path, v, r.Version)
		}
	}
}
