package caddytest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// moduleProgram compiles a program of a module of its own in a directory below this one.
func moduleProgram(dir, pkg string) (string, error) {
	bin := filepath.Join(binDir, "tool-"+dir)
	cmd := exec.Command("go", "build", "-o", bin, pkg)
	cmd.Dir = dir
	// Neither a workspace nor flags for the main module are to change what go.mod and go.sum of this one say.
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=readonly")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building %s: %w\n%s", pkg, err, out)
	}
	return bin, nil
}

var (
	buildInterop = sync.OnceValues(func() (string, error) { return moduleProgram("interop", ".") })
	buildH2spec  = sync.OnceValues(func() (string, error) {
		return moduleProgram("h2spec", "github.com/summerwind/h2spec/cmd/h2spec")
	})
)

// internalCA is a file with the certificate of the authority that signs for sites with "tls internal".
func (s *Server) internalCA() string {
	s.t.Helper()
	var ca struct {
		Root string `json:"root_certificate"`
	}
	r := s.Admin(http.MethodGet, "/pki/ca/local", "")
	if err := json.Unmarshal([]byte(r.Body), &ca); err != nil || ca.Root == "" {
		s.t.Fatalf("no certificate: %v: %s", err, r.Body)
	}
	file := filepath.Join(s.t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, []byte(ca.Root), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return file
}

// program is the path of a program that has to build.
func program(t testing.TB, build func() (string, error)) string {
	t.Helper()
	bin, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return bin
}
