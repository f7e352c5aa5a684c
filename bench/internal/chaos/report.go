package chaos

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/caddylb/caddy-lb/bench/internal/report"
)

// Report is everything that a command found out.
type Report struct {
	Machine   report.Machine `json:"machine"`
	Peers     []report.Peer  `json:"peers"`
	Scenarios []Result       `json:"scenarios"`
}

// Result is a scenario with all peers.
type Result struct {
	Name  string `json:"name"`
	About string `json:"about"`
	Rows  []Row  `json:"peers"`
}

// Row is a peer's figures, or why it has none.
type Row struct {
	Peer    string   `json:"peer"`
	Failed  string   `json:"failed,omitempty"`
	Figures []Figure `json:"figures,omitempty"`
}

// Markdown is the report as a table for each scenario.
func (r *Report) Markdown() string {
	var b strings.Builder
	m := r.Machine
	fmt.Fprintf(&b, "Measured on %s: %s, %d cores, %s, %s.\n\n", m.Date, m.CPU, m.Cores, m.Kernel, m.Go)
	b.WriteString("| proxy | is |\n|---|---|\n")
	for _, p := range r.Peers {
		fmt.Fprintf(&b, "| `%s` | %s |\n", p.Name, cmp.Or(p.Version, "absent: "+firstLine(p.Absent)))
	}
	for i := range r.Scenarios {
		r.Scenarios[i].table(&b)
	}
	return b.String()
}

// table has a row for each figure and a column for each peer.
func (r *Result) table(b *strings.Builder) {
	fmt.Fprintf(b, "\n### `%s`\n\n%s\n\n| | wanted |", r.Name, r.About)
	for _, row := range r.Rows {
		fmt.Fprintf(b, " `%s` |", row.Peer)
	}
	b.WriteString("\n|---|---|" + strings.Repeat("---|", len(r.Rows)) + "\n")
	for _, name := range r.names() {
		wanted := ""
		var cells strings.Builder
		for _, row := range r.Rows {
			f, ok := row.figure(name)
			wanted = cmp.Or(wanted, f.wanted())
			cells.WriteString(" " + cell(row, f, ok) + " |")
		}
		fmt.Fprintf(b, "| %s | %s |%s\n", name, wanted, cells.String())
	}
}

// names is those of all figures, in the order of the peer that has the most.
func (r *Result) names() []string {
	var names []string
	rows := slices.SortedStableFunc(slices.Values(r.Rows), func(x, y Row) int { return len(y.Figures) - len(x.Figures) })
	for _, row := range rows {
		for _, f := range row.Figures {
			if !slices.Contains(names, f.Name) {
				names = append(names, f.Name)
			}
		}
	}
	return names
}

func (row Row) figure(name string) (Figure, bool) {
	for _, f := range row.Figures {
		if f.Name == name {
			return f, true
		}
	}
	return Figure{}, false
}

func cell(row Row, f Figure, ok bool) string {
	switch {
	case row.Failed != "":
		return "did not run"
	case !ok:
		return "–"
	case f.Note != "":
		return f.Text() + " (" + f.Note + ")"
	}
	return f.Text()
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}
