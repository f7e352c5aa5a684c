package client

import (
	"testing"
	"time"
)

func TestSamples(t *testing.T) {
	const ms = time.Millisecond
	all := Samples{
		{Seq: 0, Due: 0, End: 5 * ms, Status: 200, Outcome: OK},
		{Seq: 1, Due: 10 * ms, End: 40 * ms, Status: 503, Outcome: Status},
		{Seq: 2, Due: 20 * ms, End: 22 * ms, Outcome: Stale},
		{Seq: 3, Due: 30 * ms, End: 130 * ms, Status: 200, Outcome: Broken},
	}
	for name, tt := range map[string]struct{ got, want int }{
		"between excludes its end":     {len(all.Between(10*ms, 30*ms)), 2},
		"failed":                       {len(all.Failed()), 3},
		"with":                         {len(all.With(Stale, Broken)), 2},
		"status":                       {len(all.WithStatus(503)), 1},
		"ended before":                 {len(all.EndedBefore(40 * ms)), 2},
		"ended since":                  {len(all.EndedSince(40 * ms)), 2},
		"the longest is among 1":       {int(all.Quantile(1).Round(ms) / ms), 100},
		"quantiles count failures too": {int(all.Quantile(0.75).Round(ms) / ms), 30},
		"causes":                       {len(all.Causes()), 3},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: got %d, want %d", name, tt.got, tt.want)
		}
	}
}

func TestOvertaken(t *testing.T) {
	const ms = time.Millisecond
	for name, tt := range map[string]struct {
		sent []time.Duration
		want int
	}{
		"nothing":            {nil, 0},
		"in order":           {[]time.Duration{1 * ms, 2 * ms, 30 * ms}, 0},
		"within the slack":   {[]time.Duration{10 * ms, 1 * ms, 11 * ms, 2 * ms}, 0},
		"exactly the slack":  {[]time.Duration{11 * ms, 1 * ms}, 0},
		"one is late":        {[]time.Duration{1 * ms, 30 * ms, 2 * ms, 31 * ms}, 1},
		"the newest first":   {[]time.Duration{90 * ms, 60 * ms, 30 * ms}, 2},
		"late after several": {[]time.Duration{50 * ms, 49 * ms, 51 * ms, 5 * ms, 6 * ms}, 2},
	} {
		var served Samples
		for _, at := range tt.sent {
			served = append(served, Sample{Sent: at, Written: at})
		}
		if got := served.Overtaken(10 * ms); got != tt.want {
			t.Errorf("%s: got %d, want %d", name, got, tt.want)
		}
	}
	// One that took long to send was not overtaken meanwhile.
	if got := (Samples{{Sent: 50 * ms, Written: 51 * ms}, {Sent: 0, Written: 45 * ms}}).Overtaken(10 * ms); got != 0 {
		t.Errorf("slow to send: got %d, want 0", got)
	}
}
