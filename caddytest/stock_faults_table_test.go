package caddytest

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// fault is something that reverse_proxy does wrong: one line of docs/stock-faults.md, and a scenario that shows it.
type fault struct {
	name string // of the subtest
	what string // when it shows, as the page says it

	// run plays the scenario with one of the two directives and says what came of it, in the page's words.
	run func(t *testing.T, proxy string) string

	stock, ours string // what run says of reverse_proxy, and of lb_proxy
}

// faults is every line of the page, in its order.
var faults = slices.Concat(
	reloadFaults, checkFaults, passiveFaults, selectionFaults, retryFaults, dynamicFaults, tlsFaults, headerFaults,
)

// TestStockFaults plays each scenario with both directives. That reverse_proxy still shows the fault keeps the page
// true, and shows that the scenario could fail.
func TestStockFaults(t *testing.T) {
	for _, f := range faults {
		for proxy, want := range map[string]string{"reverse_proxy": f.stock, "lb_proxy": f.ours} {
			t.Run(f.name+"/"+proxy, func(t *testing.T) {
				t.Parallel()
				if got := f.run(t, proxy); got != want {
					t.Errorf("%s\ngot  %s\nwant %s", f.what, got, want)
				}
			})
		}
	}
}

// startAs runs a server with one of the two directives where the Caddyfile has {$PROXY}.
func startAs(t *testing.T, proxy, caddyfile string, vars map[string]string) *Server {
	t.Helper()
	all := map[string]string{"PROXY": proxy}
	maps.Copy(all, vars)
	return Start(t, caddyfile, all)
}

const faultsPage = "../docs/stock-faults.md"

// TestStockFaultsPage compares the page's table with the scenarios, line by line.
func TestStockFaultsPage(t *testing.T) {
	data, err := os.ReadFile(faultsPage)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(data), "\n| ")
	if !found {
		t.Fatalf("%s has no table", faultsPage)
	}
	table, after, _ := strings.Cut("| "+rest, "\n\n")
	got, want := strings.Split(strings.TrimSuffix(table, "\n"), "\n"), faultsTable(t)
	if *update {
		text := before + "\n" + strings.Join(want, "\n") + "\n"
		if after != "" {
			text += "\n" + after
		}
		if err := os.WriteFile(filepath.FromSlash(faultsPage), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	for i := range max(len(got), len(want)) {
		var g, w string
		if i < len(got) {
			g = got[i]
		}
		if i < len(want) {
			w = want[i]
		}
		if g != w {
			t.Errorf("%s, line %d of the table (-update writes it):\ngot  %s\nwant %s", faultsPage, i+1, g, w)
		}
	}
}

// faultsTable is the table as the scenarios have it.
func faultsTable(t *testing.T) []string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Version}}", "github.com/caddyserver/caddy/v2").Output()
	if err != nil {
		t.Fatal(err)
	}
	lines := []string{
		fmt.Sprintf("| scenario | the case | `reverse_proxy` of Caddy %s | `lb_proxy` |", strings.TrimSpace(string(out))),
		"|---|---|---|---|",
	}
	seen := make(map[string]bool)
	for _, f := range faults {
		if seen[f.name] {
			t.Errorf("two scenarios are named %s", f.name)
		}
		seen[f.name] = true
		if f.stock == f.ours {
			t.Errorf("%s: both answer alike, so this is no fault of one", f.name)
		}
		lines = append(lines, "| `"+f.name+"` | "+f.what+" | "+f.stock+" | "+f.ours+" |")
	}
	return lines
}
