package outlier

import "time"

// window is what a detector remembers of a host from one comparison to the next.
type window struct {
	state *state // in which the host was
	seen  record
	users int // how often it was added and not removed
}

// peer is a host that is in and what it did since the last comparison.
type peer struct {
	host      *Host
	state     *state
	successes uint64
	failures  uint64
	median    time.Duration // time to first byte; meaningless without successes
}

func (p *peer) requests() uint64 { return p.successes + p.failures }

// successRate is in percent; there were requests.
func (p *peer) successRate() float64 { return 100 * float64(p.successes) / float64(p.requests()) }

// finding is what a rule says of a peer.
type finding struct {
	peer    *peer
	verdict verdict
}

// run compares the hosts at intervals.
func (d *Detector) run() {
	ticker := time.NewTicker(d.config.Interval)
	defer ticker.Stop()
	for {
		select {
		case <-d.done:
			return
		case <-ticker.C:
			d.compare()
		}
	}
}

// compare judges the hosts by the requests since the last comparison, and ejects those that are outliers, the worst first.
func (d *Detector) compare() {
	type decision struct {
		host  *Host
		event Event
	}
	var made []decision

	d.mu.Lock()
	peers := d.peers()
	findings := d.config.FailurePercentage.outliers(peers)
	findings = append(findings, d.config.SuccessRate.outliers(peers)...)
	findings = append(findings, d.config.Latency.outliers(peers)...)
	judged := make(map[*Host]bool, len(findings))
	for _, f := range findings {
		if judged[f.peer.host] {
			continue
		}
		judged[f.peer.host] = true
		if event, ok := d.decide(f.peer.host, f.peer.state, f.verdict); ok {
			made = append(made, decision{f.peer.host, event})
		}
	}
	d.mu.Unlock()

	for _, m := range made {
		d.tell(m.host, m.event)
	}
}

// peers lists the hosts that are in with what they did since the last comparison, or since they came back. The caller holds d.mu.
func (d *Detector) peers() []*peer {
	var peers []*peer
	for h, w := range d.hosts {
		st, now := h.state.Load(), h.record()
		from := w.seen
		if st != w.state {
			from = st.start
		}
		w.state, w.seen = st, now
		if st.phase != In {
			continue
		}
		latencies := now.latencies.Since(&from.latencies)
		median, _ := latencies.Quantile(0.5)
		peers = append(peers, &peer{h, st, latencies.Total(), now.failures - from.failures, median})
	}
	return peers
}
