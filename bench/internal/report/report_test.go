package report

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddylb/caddy-lb/bench/internal/load"
)

func run(cpu time.Duration, errors int64) *load.Result {
	r := &load.Result{Requests: 1000, Wall: time.Second, ProxyCPU: cpu, P50: time.Millisecond, Errors: map[string]int64{}}
	if errors > 0 {
		r.Errors["status 502"] = errors
	}
	return r
}

func sample() *Report {
	s := Scenario{Name: "get", About: "a GET", Rows: []Row{
		NewRow("lb", []*load.Result{run(20*time.Millisecond, 0), run(90*time.Millisecond, 3), run(30*time.Millisecond, 0)}),
		NewRow("stock", []*load.Result{run(60*time.Millisecond, 0)}),
		NewRow("nginx", []*load.Result{run(10*time.Millisecond, 0)}),
		{Peer: "fasthttp", LeftOut: "has no WebSocket"},
	}}
	s.Compare()
	return &Report{
		Peers:     []Peer{{Name: "lb", Version: "1"}, {Name: "stock"}, {Name: "nginx"}, {Name: "fasthttp"}, {Name: "pingora", Absent: "no cargo\nmore"}},
		Scenarios: []Scenario{s},
	}
}

func TestMediansAndRatios(t *testing.T) {
	lb := sample().Scenarios[0].Rows[0]
	if lb.Median[CPU] != 30 || lb.ToStock[CPU] != 0.5 || lb.ToNginx[CPU] != 3 || lb.Median[Rate] != 1000 || lb.Median[P50] != 1000 {
		t.Fatalf("got %+v", lb)
	}
	if lb.Median[Errors] != 3 || lb.Errors["status 502"] != 3 {
		t.Fatalf("errors of one round are lost: %+v", lb)
	}
}

func TestMarkdown(t *testing.T) {
	text := sample().Markdown()
	for _, want := range []string{
		"| `get` | 30.0 | 60.0 | 10.0 | – | 0.50 | 3.00 |",
		"| `lb` | 30.0 (0.50, 3.00) |",
		"| `fasthttp` | has no WebSocket |",
		"| `pingora` | absent: no cargo |",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	// Every row of a table has as many cells as its head.
	columns := 0
	for line := range strings.Lines(text) {
		n := strings.Count(line, "|")
		if n > 0 && columns > 0 && n != columns {
			t.Errorf("%d bars instead of %d in %s", n, columns, line)
		}
		columns = n
	}
}

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0", 0.123: "0.12", 9.999: "10.00", 12.34: "12.3", 123.4: "123", 1234: "1,234", 1234567: "1,234,567",
	} {
		if got := number(v); got != want {
			t.Errorf("%g: got %s, want %s", v, got, want)
		}
	}
}

func TestFiles(t *testing.T) {
	r := sample()
	page := filepath.Join(t.TempDir(), "page.md")
	if err := os.WriteFile(page, []byte("# Title\n"+Begin+"\nold\n"+End+"\nrest\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time replaces the first
		if err := r.WriteMarkdown(page); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil || string(got) != "# Title\n"+Begin+"\n\n"+r.Markdown()+"\n"+End+"\nrest\n" {
		t.Fatalf("got %s, %v", got, err)
	}
	file := filepath.Join(t.TempDir(), "results", "latest.json")
	if err := r.WriteJSON(file); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var back Report
	if err := json.Unmarshal(data, &back); err != nil || back.Markdown() != r.Markdown() {
		t.Fatalf("the report does not come back from JSON: %v", err)
	}
}

func TestPageWithoutMarkers(t *testing.T) {
	if _, err := insert([]byte("no markers"), "text"); err == nil || !strings.Contains(err.Error(), Begin) {
		t.Fatalf("got %v", err)
	}
}
