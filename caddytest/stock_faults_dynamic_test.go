package caddytest

import (
	"fmt"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

var dynamicFaults = []fault{
	{
		name: "srv_weight_and_priority", what: "`dynamic srv` with A (priority 10, weight 3), B (10, 1) and C (20, 9), policy `round_robin`",
		run:   srvRecords,
		stock: "of 36 requests A gets 12, B 12, C 12",
		ours:  "of 36 requests A gets 27, B 9, C 0",
	},
	{
		name: "slow_name_delays_all", what: "`dynamic a`: the lookup of one name takes long, another name was just looked up",
		run:   slowName,
		stock: "requests for the other name wait for it",
		ours:  "requests for the other name are answered",
	},
}

// nameServer is a DNS server on loopback whose records are set before it is asked. It is safe for concurrent use.
type nameServer struct {
	addr string

	mu      sync.Mutex
	records map[string][]string // "name. TYPE" to the records' data
	held    map[string]chan struct{}
	asked   set
}

func newNameServer(t *testing.T) *nameServer {
	t.Helper()
	n := &nameServer{records: make(map[string][]string), held: make(map[string]chan struct{})}
	n.addr = serveDNS(t, n)
	return n
}

// set has a question answered with records.
func (n *nameServer) set(question string, records ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.records[question] = records
}

// hold has a question answered only when release is closed.
func (n *nameServer) hold(question string, release chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.held[question] = release
}

// ServeDNS implements dns.Handler.
func (n *nameServer) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	m := new(dns.Msg).SetReply(q)
	question := q.Question[0].Name + " " + dns.TypeToString[q.Question[0].Qtype]
	n.asked.add(question)
	n.mu.Lock()
	records, known := n.records[question]
	held := n.held[question]
	n.mu.Unlock()
	if held != nil {
		<-held
	}
	if !known {
		m.Rcode = dns.RcodeNameError
	}
	for _, r := range records {
		if rr, err := dns.NewRR(q.Question[0].Name + " 1 IN " + r); err == nil {
			m.Answer = append(m.Answer, rr)
		}
	}
	_ = w.WriteMsg(m)
}

func srvRecords(t *testing.T, proxy string) string {
	b := NewBackends(t, "A", "B", "C")
	n := newNameServer(t)
	var records []string
	for i, share := range []string{"10 3", "10 1", "20 9"} {
		_, port, err := net.SplitHostPort(b[i].Addr)
		if err != nil {
			t.Fatal(err)
		}
		name := b[i].Name + ".internal."
		records = append(records, fmt.Sprintf("SRV %s %s %s", share, port, name))
		n.set(name+" A", "A 127.0.0.1")
	}
	n.set("_http._tcp.app.internal. SRV", records...)
	s := startAs(t, proxy, `http://127.0.0.1:{$PORT} {
	{$PROXY} {
		dynamic srv _http._tcp.app.internal {
			resolvers {$DNS}
		}
		lb_policy round_robin
		transport http {
			resolvers {$DNS}
		}
	}
}
`, map[string]string{"DNS": n.addr})
	count := s.spread(s.URL("PORT", "/"), 36)
	return fmt.Sprintf("of 36 requests A gets %d, B %d, C %d", count["A"], count["B"], count["C"])
}

func slowName(t *testing.T, proxy string) string {
	b := NewBackends(t, "A")
	_, port, err := net.SplitHostPort(b[0].Addr)
	if err != nil {
		t.Fatal(err)
	}
	n := newNameServer(t)
	n.set("quick.internal. A", "A 127.0.0.1")
	n.set("slow.internal. A", "A 127.0.0.1")
	release := make(chan struct{})
	n.hold("slow.internal. A", release)
	s := startAs(t, proxy, `http://127.0.0.1:{$PORT} {
	{$PROXY} {
		dynamic a {
			name {query.name}
			port {$PORTOFA}
			refresh 1h
			resolvers {$DNS}
			versions ipv4
		}
	}
}
`, map[string]string{"PORTOFA": port, "DNS": n.addr})
	quick := s.URL("PORT", "/?name=quick.internal")
	if r := s.Get(quick); r.Status != http.StatusOK {
		t.Fatalf("status %d for the quick name: %s", r.Status, r.Body)
	}
	slow := s.inBackground(s.URL("PORT", "/?name=slow.internal"))
	eventually(t, "the slow name is asked for", func() bool { return n.asked.has("slow.internal. A") })
	answered := s.inBackground(quick)
	// Well below the 10 s after which the resolver gives the slow name up, which ends the waiting as well.
	result := "requests for the other name wait for it"
	select {
	case <-answered:
		answered = nil
		result = "requests for the other name are answered"
	case <-time.After(4 * time.Second):
	}
	close(release)
	<-slow
	if answered != nil {
		<-answered
	}
	return result
}
