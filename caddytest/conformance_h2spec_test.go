package caddytest

import (
	"encoding/xml"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// h2specReport is what the program writes, as far as it is looked at.
type h2specReport struct {
	Suites []struct {
		Cases []struct {
			Section string  `xml:"package,attr"`
			Name    string  `xml:"classname,attr"`
			Failure *string `xml:"failure"`
			Error   *string `xml:"error"`
			Skipped *string `xml:"skipped"`
		} `xml:"testcase"`
	} `xml:"testsuite"`
}

// runH2spec runs all of the program's cases against a site, waiting for each answer for so many seconds, and returns
// how many passed, and what failed, by section and name.
func runH2spec(t *testing.T, bin, port, seconds string) (passed int, failures map[string]string) {
	t.Helper()
	failures = make(map[string]string)
	file := filepath.Join(t.TempDir(), "report.xml")
	out, err := exec.CommandContext(t.Context(), bin, "-h", "127.0.0.1", "-p", port, "-t", "-k", "-S", "-o", seconds, "-j", file).CombinedOutput()
	var failed *exec.ExitError // the status of a run in which a case failed
	if err != nil && !errors.As(err, &failed) {
		t.Error(err)
		return 0, failures
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Errorf("%v\n%s", err, out)
		return 0, failures
	}
	var report h2specReport
	if err := xml.Unmarshal(data, &report); err != nil {
		t.Error(err)
	}
	for _, suite := range report.Suites {
		for _, c := range suite.Cases {
			switch {
			case c.Failure != nil:
				failures[c.Section+": "+c.Name] = *c.Failure
			case c.Error != nil:
				failures[c.Section+": "+c.Name] = *c.Error
			case c.Skipped == nil:
				passed++
			}
		}
	}
	return passed, failures
}

// TestH2spec runs h2spec against two sites of one server: lb_proxy must not fail a case that reverse_proxy passes.
// HTTP/2 towards the client is Caddy's own, so that what is seen is how its handler uses it.
func TestH2spec(t *testing.T) {
	t.Parallel() // it mostly waits
	bin := program(t, buildH2spec)
	b := NewBackends(t, "A")
	s := Start(t, `{
	skip_install_trust
	auto_https disable_redirects
}
https://127.0.0.1:{$PORT} {
	tls internal
	lb_proxy {$A}
}
https://127.0.0.1:{$PORT2} {
	tls internal
	reverse_proxy {$A}
}
`, addresses(b...))
	eventually(t, "the certificate is there", func() bool {
		return exec.Command(bin, "-h", "127.0.0.1", "-p", s.vars["PORT"], "-t", "-k", "http2/3.5/1").Run() == nil
	})
	var passed, stockPassed int
	var failures, stockFailures map[string]string
	var both sync.WaitGroup
	both.Go(func() { passed, failures = runH2spec(t, bin, s.vars["PORT"], "2") })
	both.Go(func() { stockPassed, stockFailures = runH2spec(t, bin, s.vars["PORT2"], "2") })
	both.Wait()
	t.Logf("lb_proxy passes %d cases and fails %d; reverse_proxy passes %d and fails %d",
		passed, len(failures), stockPassed, len(stockFailures))
	if passed < 100 || stockPassed < 100 {
		t.Errorf("only %d and %d cases passed: %v", passed, stockPassed, failures)
	}
	if len(onlyIn(failures, stockFailures)) == 0 {
		return
	}
	// What was too slow on a busy machine passes when it is waited for.
	_, again := runH2spec(t, bin, s.vars["PORT"], "10")
	for name, why := range onlyIn(again, stockFailures) {
		t.Errorf("%s\n%s", name, why)
	}
}

// onlyIn is what one run failed and another did not.
func onlyIn(run, other map[string]string) map[string]string {
	only := maps.Clone(run)
	maps.DeleteFunc(only, func(name, _ string) bool { _, ok := other[name]; return ok })
	return only
}
