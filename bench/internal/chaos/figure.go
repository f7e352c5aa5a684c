// Package chaos has scenarios in which backends die, hang, fail, restart and fill up while clients send requests, and says what the
// clients saw of it, for each of some proxies.
package chaos

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/caddylb/caddy-lb/bench/internal/chaos/client"
)

// Figure is one number that came of a scenario for one peer.
type Figure struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit,omitempty"`
	Note  string  `json:"note,omitempty"` // what the number is made up of
	Want  *Want   `json:"want,omitempty"`
}

// Want is what lb_proxy has to reach. Of a short run on a machine that does other things besides less is wanted.
type Want struct {
	AtLeast bool    `json:"at_least,omitempty"` // otherwise at most
	Value   float64 `json:"value"`
	Loose   float64 `json:"-"`
}

// Unmet says what a figure lacks, or nothing.
func (f Figure) Unmet(loose bool) string {
	if f.Want == nil {
		return ""
	}
	want := f.Want.Value
	if loose {
		want = f.Want.Loose
	}
	if f.Want.AtLeast && f.Value >= want || !f.Want.AtLeast && f.Value <= want {
		return ""
	}
	text := fmt.Sprintf("%s: %s, wanted %s", f.Name, f.Text(), Figure{Value: want, Unit: f.Unit, Want: f.Want}.wanted())
	if f.Note != "" {
		text += " (" + f.Note + ")"
	}
	return text
}

// wanted is the bound as text.
func (f Figure) wanted() string {
	switch {
	case f.Want == nil:
		return ""
	case f.Want.AtLeast:
		return "≥ " + Figure{Value: f.Want.Value, Unit: f.Unit}.Text()
	case f.Want.Value == 0:
		return "0"
	}
	return "≤ " + Figure{Value: f.Want.Value, Unit: f.Unit}.Text()
}

// Text is the value with its unit, in three digits or so.
func (f Figure) Text() string {
	digits := 0
	if f.Value != float64(int64(f.Value)) {
		switch {
		case f.Value < 1:
			digits = 3
		case f.Value < 10:
			digits = 2
		case f.Value < 100:
			digits = 1
		}
	}
	text := fmt.Sprintf("%.*f", digits, f.Value)
	if f.Unit != "" {
		text += " " + f.Unit
	}
	return text
}

// atMost and atLeast add what is wanted to a figure; the second bound is for short runs.
func (f Figure) atMost(v, loose float64) Figure {
	f.Want = &Want{Value: v, Loose: loose}
	return f
}

func (f Figure) atLeast(v, loose float64) Figure {
	f.Want = &Want{AtLeast: true, Value: v, Loose: loose}
	return f
}

func count(name string, n int) Figure { return Figure{Name: name, Value: float64(n)} }

func millis(name string, d time.Duration) Figure {
	return Figure{Name: name, Value: float64(d) / float64(time.Millisecond), Unit: "ms"}
}

func seconds(name string, d time.Duration) Figure {
	return Figure{Name: name, Value: d.Seconds(), Unit: "s"}
}

// ratio is a divided by b, 0 if b is.
func ratio(name string, a, b float64) Figure {
	f := Figure{Name: name}
	if b != 0 {
		f.Value = a / b
	}
	return f
}

func percent(name string, a, b float64) Figure {
	f := ratio(name, 100*a, b)
	f.Unit = "%"
	return f
}

// failures is how many requests failed, with the causes.
func failures(name string, s client.Samples) Figure {
	f := count(name, len(s.Failed()))
	causes := s.Causes()
	var parts []string
	for _, cause := range slices.Sorted(maps.Keys(causes)) {
		parts = append(parts, fmt.Sprintf("%s %d", cause, causes[cause]))
	}
	f.Note = strings.Join(parts, ", ")
	return f
}

// sentLate says how far the clients themselves were held up: where many requests were, the machine was not fit to measure on.
func sentLate(s client.Samples, how ...string) Figure {
	const late = 10 * time.Millisecond
	n := 0
	for _, x := range s {
		if x.Sent-x.Due > late {
			n++
		}
	}
	name := strings.Join(append([]string{"sent more than 10 ms late by the clients"}, how...), " ")
	return percent(name, float64(n), float64(len(s)))
}
