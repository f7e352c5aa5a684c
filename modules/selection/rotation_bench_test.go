package selection

import (
	"fmt"
	"testing"

	"github.com/caddylb/caddy-lb/lb"
)

// BenchmarkRotation is what a pick costs that has to look for a backend, and what many at once cost
// each other.
func BenchmarkRotation(b *testing.B) {
	for _, n := range []int{3, 100} {
		free := newBed(b, &RoundRobin{}, servers(n)...).pool.Snapshot()
		b.Run(fmt.Sprintf("first/%d", n), func(b *testing.B) { benchRotation(b, free, nil) })
		b.Run(fmt.Sprintf("retry/%d", n), func(b *testing.B) { benchRotation(b, free, free.Members[1]) })
		b.Run(fmt.Sprintf("limited/%d", n), func(b *testing.B) { benchRotation(b, limitedPool(b, n, 0), nil) })
		b.Run(fmt.Sprintf("one_full/%d", n), func(b *testing.B) { benchRotation(b, limitedPool(b, n, 1), nil) })
		b.Run(fmt.Sprintf("full/%d", n), func(b *testing.B) { benchRotation(b, limitedPool(b, n, n), nil) })
	}
}

// limitedPool is a pool of n backends with limits, of which the first are full.
func limitedPool(b *testing.B, n, full int) *lb.Snapshot {
	pool := lb.NewPool("test", &RoundRobin{})
	var members []*lb.Member
	for i, text := range servers(n) {
		m := member(b, text)
		m.Position, m.MaxRequests = i, 1000
		if i < full {
			m.MaxRequests = 1
			m.Acquire()
		}
		members = append(members, m)
	}
	if err := pool.Update(members); err != nil {
		b.Fatal(err)
	}
	return pool.Snapshot()
}

func benchRotation(b *testing.B, s *lb.Snapshot, tried *lb.Member) {
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		var p lb.Pick
		if tried != nil {
			p.Tried.Add(tried.Backend)
		}
		for pb.Next() {
			s.Pick(&p)
		}
	})
}
