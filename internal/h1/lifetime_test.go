package h1

import (
	"testing"
	"time"
)

func TestLifetime(t *testing.T) {
	const ms, sec = time.Millisecond, time.Second
	type step struct {
		what string // "ended", "survived", or "covers" and its opposite
		age  time.Duration
		at   time.Duration
	}
	for name, steps := range map[string][]step{
		"nothing is known of a new server": {
			{"risky", 0, sec}, {"survived", 99 * ms, sec}, {"risky", 0, sec}, {"survived", 100 * ms, sec}, {"covers", time.Hour, sec},
		},
		"half of what was seen is safe": {
			{"survived", sec, sec}, {"ended", 4 * sec, 2 * sec}, {"covers", 1999 * ms, 2 * sec}, {"risky", 2 * sec, 2 * sec},
		},
		"the shortest counts": {
			{"survived", sec, sec}, {"ended", sec, sec}, {"ended", 4 * sec, sec}, {"covers", 499 * ms, sec}, {"risky", 500 * ms, sec},
		},
		"no age is safe where connections end early": {
			{"survived", 200 * ms, sec}, {"ended", 9 * ms, sec}, {"risky", 0, sec}, {"survived", 999 * ms, sec}, {"risky", 0, sec},
		},
		"a connection that lives on shows that an early end was something else": {
			{"survived", 200 * ms, sec}, {"ended", 9 * ms, sec}, {"survived", sec, 2 * sec}, {"covers", time.Hour, 2 * sec},
		},
		"it is forgotten after two minutes at the most": {
			{"survived", sec, sec}, {"ended", 4 * sec, 60 * sec}, {"risky", 3 * sec, 179 * sec}, {"covers", 3 * sec, 181 * sec},
		},
		"but not while connections go on ending": {
			{"survived", sec, sec},
			{"ended", 4 * sec, 60 * sec},
			{"ended", 6 * sec, 130 * sec},
			{"risky", 2 * sec, 181 * sec},
			{"ended", 6 * sec, 200 * sec},
			{"risky", 3 * sec, 200 * sec},
			{"covers", 2 * sec, 200 * sec},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var l lifetime
			for i, s := range steps {
				switch s.what {
				case "ended":
					l.ended(s.age, s.at)
				case "survived":
					l.survived(s.age)
				default:
					if got := l.covers(s.age, s.at); got != (s.what == "covers") {
						t.Errorf("step %d: covers(%v) is %v after %v", i, s.age, got, s.at)
					}
				}
			}
		})
	}
}
