package report

import (
	"fmt"
	"slices"
	"strings"
)

// Markdown is the report as tables: one of all scenarios, and one for each.
func (r *Report) Markdown() string {
	var b strings.Builder
	r.preface(&b)
	r.overview(&b)
	for i := range r.Scenarios {
		r.Scenarios[i].table(&b)
	}
	return b.String()
}

// preface says what ran where.
func (r *Report) preface(b *strings.Builder) {
	m, s := r.Machine, r.Settings
	fmt.Fprintf(b, "Measured on %s: %s, %d cores, %s with TCP %s, %s. Medians of %d rounds of %gs each.\n\n",
		m.Date, m.CPU, m.Cores, m.Kernel, m.TCP, m.Go, s.Rounds, s.DurationSeconds)
	b.WriteString("| peer | is |\n|---|---|\n")
	for _, p := range r.Peers {
		is := p.Version
		if p.Absent != "" {
			is = "absent: " + firstLine(p.Absent)
		}
		fmt.Fprintf(b, "| `%s` | %s |\n", p.Name, is)
	}
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

// overview has the CPU time of a request for every scenario and peer.
func (r *Report) overview(b *strings.Builder) {
	scenarios := slices.DeleteFunc(slices.Clone(r.Scenarios), func(s Scenario) bool { return !s.has(CPU) })
	if len(scenarios) == 0 {
		return
	}
	var present []string
	for _, p := range r.Peers {
		if p.Absent == "" {
			present = append(present, p.Name)
		}
	}
	b.WriteString("\n### CPU time for a request, in µs\n\n| scenario |")
	for _, name := range present {
		fmt.Fprintf(b, " `%s` |", name)
	}
	b.WriteString(" `lb`/`stock` | `lb`/`nginx` |\n|---|" + strings.Repeat("---|", len(present)+2) + "\n")
	for i := range scenarios {
		s := &scenarios[i]
		fmt.Fprintf(b, "| `%s` |", s.Name)
		for _, name := range present {
			if v := s.row(name)[CPU]; v > 0 {
				fmt.Fprintf(b, " %s |", number(v))
			} else {
				b.WriteString(" – |")
			}
		}
		var lb Row
		for _, row := range s.Rows {
			if row.Peer == "lb" {
				lb = row
			}
		}
		fmt.Fprintf(b, " %s | %s |\n", ratio(lb.ToStock[CPU]), ratio(lb.ToNginx[CPU]))
	}
}

// column is a metric in a scenario's table.
type column struct{ title, metric string }

var columns = []column{
	{"CPU µs/request", CPU},
	{"requests/s", Rate},
	{"p50 µs", P50},
	{"p99 µs", P99},
	{"p99.9 µs", P999},
	{"KiB per idle client", FrontIdle},
	{"KiB per idle backend connection", UpstreamIdle},
	{"peak MiB", Peak},
	{"backend connections", Accepted},
	{"errors", Errors},
	{"CPUs busy: proxy", ProxyBusy},
	{"load", LoadBusy},
	{"other", OtherBusy},
}

// has reports whether any peer has a figure.
func (s *Scenario) has(metric string) bool {
	return slices.ContainsFunc(s.Rows, func(r Row) bool { return r.Median[metric] > 0 })
}

// table has each figure with its ratio to stock and to nginx in brackets.
func (s *Scenario) table(b *strings.Builder) {
	fmt.Fprintf(b, "\n### `%s`\n\n%s.\n\n| peer |", s.Name, s.About)
	shown := slices.DeleteFunc(slices.Clone(columns), func(c column) bool { return c.metric != Errors && !s.has(c.metric) })
	for _, c := range shown {
		fmt.Fprintf(b, " %s |", c.title)
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(shown)) + "\n")
	for _, row := range s.Rows {
		if row.LeftOut != "" {
			fmt.Fprintf(b, "| `%s` | %s |%s\n", row.Peer, row.LeftOut, strings.Repeat(" |", len(shown)-1))
			continue
		}
		fmt.Fprintf(b, "| `%s` |", row.Peer)
		for _, c := range shown {
			b.WriteString(" " + cell(row, c.metric) + " |")
		}
		b.WriteString("\n")
	}
}

func cell(row Row, metric string) string {
	text := number(row.Median[metric])
	switch metric {
	case Errors, ProxyBusy, LoadBusy, OtherBusy:
		return text
	}
	stock, nginx := row.ToStock[metric], row.ToNginx[metric]
	if stock == 0 && nginx == 0 {
		return text
	}
	return fmt.Sprintf("%s (%s, %s)", text, ratio(stock), ratio(nginx))
}

// number has about three digits, and thousands set apart.
func number(v float64) string {
	switch {
	case v == 0:
		return "0"
	case v < 10:
		return fmt.Sprintf("%.2f", v)
	case v < 100:
		return fmt.Sprintf("%.1f", v)
	case v < 1000:
		return fmt.Sprintf("%.0f", v)
	}
	digits := fmt.Sprintf("%.0f", v)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

func ratio(v float64) string {
	if v == 0 {
		return "–"
	}
	return fmt.Sprintf("%.2f", v)
}
