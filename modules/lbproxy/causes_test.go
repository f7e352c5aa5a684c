package lbproxy

import (
	"os"
	"strconv"
	"strings"
	"testing"
)

// docs/proxy.md has the table of causes.
func TestCausesAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/proxy.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## Errors\n")
	documented := make(map[string]ending)
	for line := range strings.Lines(section) {
		cells := strings.Split(strings.Trim(line, "| \n"), "|")
		for i := range cells {
			cells[i] = strings.Trim(cells[i], " `")
		}
		if len(cells) != 5 || cells[0] == "cause" || strings.HasPrefix(cells[0], "-") {
			continue
		}
		status, _ := strconv.Atoi(cells[1])
		documented[cells[0]] = ending{name: cells[0], status: status, by: party(cells[2]), again: again(cells[3])}
		if strings.HasPrefix(line, "## ") {
			break
		}
	}
	if len(documented) != int(numCauses)-1 {
		t.Errorf("%d causes are documented, of %d", len(documented), numCauses-1)
	}
	for c := causeNone + 1; c < numCauses; c++ {
		want := ending{name: endings[c].name, status: endings[c].status, by: endings[c].by, again: endings[c].again}
		if got := documented[c.String()]; got != want {
			t.Errorf("%s is documented as %+v, but is %+v", c, got, want)
		}
	}
}

// Whose doing an end is decides what it counts as.
func TestOnlyBackendsAreCounted(t *testing.T) {
	for c := causeNone + 1; c < numCauses; c++ {
		e, own := endings[c], endings[c].by == byBackend
		if (e.kind != 0) != own || (e.latency == weighPenalty) != own {
			t.Errorf("%s is by %s, but counts as %v for outlier detection and %v for the latency", c, e.by, e.kind, e.latency)
		}
		tried := try{Cause: c}
		if p := (&passive{}); p.isFailure(&tried) != own || tried.failed() != own {
			t.Errorf("%s is by %s, but counted: %v, %v", c, e.by, p.isFailure(&tried), tried.failed())
		}
	}
}
