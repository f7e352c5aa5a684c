package chaos

import (
	"strings"
	"testing"
	"time"

	"github.com/caddylb/caddy-lb/bench/internal/chaos/client"
	"github.com/caddylb/caddy-lb/bench/internal/chaos/fleet"
	"github.com/caddylb/caddy-lb/bench/internal/report"
)

func TestUnmet(t *testing.T) {
	for name, tt := range map[string]struct {
		figure      Figure
		full, short bool // met
	}{
		"nothing wanted": {count("x", 7), true, true},
		"at most":        {count("x", 2).atMost(2, 2), true, true},
		"too much":       {count("x", 3).atMost(2, 2), false, false},
		"met loosely":    {count("x", 3).atMost(2, 5), false, true},
		"at least":       {ratio("x", 10, 2).atLeast(5, 2), true, true},
		"too little":     {ratio("x", 8, 2).atLeast(5, 2), false, true},
		"none at all":    {ratio("x", 8, 0).atLeast(5, 2), false, false},
	} {
		if got := tt.figure.Unmet(false); (got == "") != tt.full {
			t.Errorf("%s: %q", name, got)
		}
		if got := tt.figure.Unmet(true); (got == "") != tt.short {
			t.Errorf("%s, of a short run: %q", name, got)
		}
	}
}

func TestText(t *testing.T) {
	for want, f := range map[string]Figure{
		"12":      count("x", 12),
		"5.12 ms": millis("x", 5123*time.Microsecond),
		"123 ms":  millis("x", 123456*time.Microsecond),
		"0.250 %": percent("x", 1, 400),
		"12.3 s":  seconds("x", 12345*time.Millisecond),
		"0":       count("x", 0),
	} {
		if got := f.Text(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	f := failures("failed", client.Samples{{Outcome: client.OK}, {Outcome: client.Timeout}, {Outcome: client.Cut}, {Outcome: client.Cut}})
	if f.Value != 3 || f.Note != "connection ended without an answer 2, timeout 1" {
		t.Errorf("got %+v", f)
	}
}

// A request that was under way when backends broke belongs to detection.
func TestFaultPhases(t *testing.T) {
	const s = time.Second
	run := &faultsRun{broken: 8 * s, detected: 11 * s, restored: 26 * s}
	got := make(map[string]float64)
	for _, f := range run.figures(client.Samples{
		{Due: 1 * s, End: 2 * s, Outcome: client.OK},
		{Due: 7 * s, End: 9 * s, Outcome: client.Cut},
		{Due: 10 * s, End: 12 * s, Outcome: client.Broken},
		{Due: 11 * s, End: 12 * s, Outcome: client.Status},
		{Due: 25 * s, End: 27 * s, Outcome: client.Broken},
		{Due: 26 * s, End: 27 * s, Outcome: client.Timeout},
	}, &Bed{}) {
		got[f.Name] = f.Value
	}
	for name, want := range map[string]float64{
		"requests":             6,
		"failed while healthy": 0,
		"failed in detection, other than begun bodies":                1,
		"failed after detection, other than begun bodies":             1,
		"failed after all were well, other than begun bodies":         1,
		"begun bodies broken in detection":                            1,
		"begun bodies broken after":                                   1,
		"until each had half of an equal share again":                 0,
		"p99 after detection / p99 healthy":                           2,
		"tries that went to the fast-failing backend after detection": 0,
	} {
		if v, ok := got[name]; !ok || v < want*0.99 || v > want*1.01 {
			t.Errorf("%s: %g, want %g", name, v, want)
		}
	}
}

func TestShares(t *testing.T) {
	got := shares([]fleet.Counts{{Requests: 10}, {Requests: 4}}, []fleet.Counts{{Requests: 40}, {Requests: 14}})
	if len(got) != 2 || got[0] != 1.5 || got[1] != 0.5 {
		t.Errorf("got %v", got)
	}
	if got = shares(make([]fleet.Counts, 2), make([]fleet.Counts, 2)); got[0] != 0 {
		t.Errorf("without requests: got %v", got)
	}
}

func TestMarkdown(t *testing.T) {
	r := Report{
		Peers: []report.Peer{{Name: "lb", Version: "1"}, {Name: "haproxy", Absent: "not found\nat all"}},
		Scenarios: []Result{{Name: "one", About: "A thing.", Rows: []Row{
			{Peer: "stock", Figures: []Figure{count("a", 1)}},
			{Peer: "lb", Figures: []Figure{count("a", 2), count("b", 3).atMost(4, 4)}},
			{Peer: "haproxy", Failed: "no"},
		}}},
	}
	text := r.Markdown()
	for _, want := range []string{
		"| `haproxy` | absent: not found |\n", "### `one`\n\nA thing.\n", "| | wanted | `stock` | `lb` | `haproxy` |\n",
		"| a |  | 1 | 2 | did not run |\n", "| b | ≤ 4 | – | 3 | did not run |\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}
