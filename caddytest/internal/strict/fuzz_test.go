package strict

import (
	"errors"
	"testing"
)

// A reader gives an account of all bytes, whatever they are, and what it took for requests it reads
// again from the same bytes.
func FuzzRequests(f *testing.F) {
	for _, requests := range refused {
		for _, raw := range requests {
			f.Add([]byte(raw), uint32(0))
			f.Add([]byte(get()+raw), uint32(1<<32-1))
		}
	}
	f.Fuzz(func(t *testing.T, p []byte, allowed uint32) {
		r := Reader{Allowed: Ease(allowed), Delimit: allowed&1 == 0}
		list, rest, err := r.Requests(p)
		var fault *Fault
		if err != nil && !errors.As(err, &fault) && !errors.Is(err, ErrIncomplete) {
			t.Fatal(err)
		}
		read := p[:len(p)-len(rest)]
		if again, rest, err := r.Requests(read); len(again) != len(list) || len(rest) > 0 || err != nil {
			t.Fatalf("%d requests in %q, then %d, rest %q, %v", len(list), read, len(again), rest, err)
		}
		// Whoever allows less sees no more.
		if fewer, _, _ := (Reader{}).Requests(p); len(fewer) > len(list) && allowed == 1<<32-1 {
			t.Fatalf("a reader that allows nothing sees %d requests in %q, one that allows all %d", len(fewer), p, len(list))
		}
		_, _, _ = r.Answers(p, []Asked{{"GET", 1}, {"HEAD", 1}})
	})
}

// Streams of any bytes are read without a panic.
func FuzzStreams(f *testing.F) {
	for _, all := range refused2 {
		for _, raw := range all {
			f.Add([]byte(raw))
		}
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		streams, _ := Reader{}.Streams(append([]byte(ClientPreface), p...))
		for _, st := range streams {
			if m, err := (Reader{}).Request2(st); err == nil && !st.Ended {
				t.Fatalf("a stream without end is the request %+v", m)
			}
		}
	})
}
