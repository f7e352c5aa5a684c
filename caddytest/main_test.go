// Package caddytest tests the whole server: a real Caddy with this suite, built once and started for each test
// in a process of its own, with real backends, on loopback. It needs nothing that runs beside it.
package caddytest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// binDir holds the server while the tests run.
var binDir string

func TestMain(m *testing.M) {
	var err error
	if binDir, err = os.MkdirTemp("", "caddytest"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(binDir)
	os.Exit(code)
}

// buildServer compiles the server at the first call, under the race detector when the tests run under it.
var buildServer = sync.OnceValues(func() (string, error) {
	bin := filepath.Join(binDir, "caddy")
	args := []string{"build", "-o", bin}
	if raceEnabled {
		args = append(args, "-race")
	}
	cmd := exec.Command("go", append(args, "./cmd/caddy")...)
	cmd.Dir = ".."
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the server: %w\n%s", err, out)
	}
	return bin, nil
})

// patience is how long a condition may take to come true. It only bounds how long a failure takes.
func patience() time.Duration {
	if raceEnabled {
		return 40 * time.Second
	}
	return 10 * time.Second
}

// eventually waits until cond holds.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience())
	for !cond() {
		if time.Now().After(deadline) {
			t.Fatalf("gave up waiting: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}
