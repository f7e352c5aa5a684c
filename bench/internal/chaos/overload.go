package chaos

import (
	"context"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/caddylb/caddy-lb/bench/internal/chaos/client"
	"github.com/caddylb/caddy-lb/bench/internal/chaos/fleet"
	"github.com/caddylb/caddy-lb/bench/internal/chaos/proxy"
)

// The overloaded service: five backends, each with eight requests at once in 80 ms, are 500 requests a second.
const (
	overloadBackends = 5
	overloadSlots    = 8
	overloadService  = 80 * time.Millisecond
	overloadQueue    = 100
	overloadCapacity = overloadBackends * overloadSlots * float64(time.Second) / float64(overloadService)
)

var overloadScenario = Scenario{
	Name: "overload",
	About: "Five backends that each serve eight requests at once in 80 ms, together 500 a second, and that with more at once take longer with the square of " +
		"the excess. 1,500 requests a second come; clients wait for 2 s. The proxies know the bound of eight, and may let 100 requests wait for up to 1 s.",
	run: runOverload,
}

// arrivals are the numbers of requests in the order in which backends got them.
type arrivals struct {
	mu  sync.Mutex
	seq []int
}

func (a *arrivals) observe(r *http.Request) {
	seq, err := strconv.Atoi(r.Header.Get(client.SeqField))
	if err != nil {
		return
	}
	a.mu.Lock()
	a.seq = append(a.seq, seq)
	a.mu.Unlock()
}

func runOverload(ctx context.Context, b *Bed, p proxy.Peer) ([]Figure, error) {
	const times3, timeout = 3, 2 * time.Second
	order := &arrivals{}
	s, err := b.open(ctx, p, overloadBackends,
		fleet.Options{Service: overloadService, Capacity: overloadSlots, Observe: order.observe},
		&proxy.Setup{Config: proxy.Overload, Capacity: overloadSlots, Queue: overloadQueue})
	if err != nil {
		return nil, err
	}
	defer s.close()
	h1 := &client.H1{Addr: s.Addr(), Timeout: timeout}
	defer h1.Close()
	load := client.Open(ctx, times3*overloadCapacity, client.Get(h1, "/"))
	defer load.Stop()
	if err := proxy.Pause(ctx, times(b, 2*time.Second, time.Second)); err != nil {
		return nil, err
	}
	from := load.Now()
	memory, err := memoryOver(ctx, s, times(b, 13*time.Second, 3*time.Second))
	if err != nil {
		return nil, err
	}
	to := load.Now()
	return overloadFigures(load.Stop(), from, to, order, memory), nil
}

// memoryOver reads what the proxy holds in memory at the start, in the middle and at the end of some time.
func memoryOver(ctx context.Context, s *site, d time.Duration) ([3]int64, error) {
	var memory [3]int64
	for i := range memory {
		var err error
		if memory[i], err = s.Memory(); err != nil {
			return memory, err
		}
		if i < len(memory)-1 {
			if err := proxy.Pause(ctx, d/2); err != nil {
				return memory, err
			}
		}
	}
	return memory, nil
}

func overloadFigures(all client.Samples, from, to time.Duration, order *arrivals, memory [3]int64) []Figure {
	const mib, slack = 1 << 20, 50 * time.Millisecond
	// What is served counts when it is served, for the queue was full before.
	var good client.Samples
	bySeq := make(map[int]client.Sample, len(all))
	for _, x := range all {
		bySeq[x.Seq] = x
		if x.Outcome == client.OK && x.End >= from && x.End < to {
			good = append(good, x)
		}
	}
	order.mu.Lock()
	defer order.mu.Unlock()
	var served client.Samples
	for _, seq := range order.seq {
		served = append(served, bySeq[seq])
	}
	served = served.Between(from, to)
	measured := all.Between(from, to)
	shed := measured.WithStatus(http.StatusServiceUnavailable)
	rate := float64(len(good)) / (to - from).Seconds()
	size := func(name string, bytes int64) Figure {
		return Figure{Name: name, Value: float64(bytes) / mib, Unit: "MiB"}
	}
	return []Figure{
		count("requests", len(measured)),
		sentLate(measured),
		percent("answered well, of the capacity", rate, overloadCapacity).atLeast(95, 75),
		millis("p50 of those answered well", good.Quantile(0.5)),
		millis("p99 of those answered well", good.Quantile(0.99)),
		percent("overtaken by a request sent more than 50 ms later", float64(served.Overtaken(slack)), float64(len(served))).atMost(0.1, 2),
		percent("answered 503", float64(len(shed)), float64(len(measured))),
		millis("p50 until a 503", shed.Quantile(0.5)),
		millis("p99 until a 503", shed.Quantile(0.99)).atMost(10, 250),
		failures("failed otherwise", withoutStatus(measured.Failed(), http.StatusServiceUnavailable)).atMost(0, 0),
		size("memory after 2 s", memory[0]),
		size("memory in the middle", memory[1]),
		size("memory at the end", memory[2]),
		ratio("memory at the end / in the middle", float64(memory[2]), float64(memory[1])).atMost(1.1, 1.5),
	}
}

func withoutStatus(s client.Samples, status int) client.Samples {
	var rest client.Samples
	for _, x := range s {
		if x.Status != status {
			rest = append(rest, x)
		}
	}
	return rest
}
