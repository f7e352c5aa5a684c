package healthcheck

import (
	"net"
	"testing"

	"github.com/miekg/dns"
)

// nameServer answers for has.test., denies none.test., answers empty.test. without an address, and is silent
// about all else.
func nameServer(t *testing.T) string {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	handler := dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		m.RecursionAvailable = true
		switch name := q.Question[0].Name; name {
		case "has.test.":
			if q.Question[0].Qtype == dns.TypeA {
				rr, err := dns.NewRR(name + " 60 IN A 192.0.2.1")
				if err != nil {
					t.Error(err)
				}
				m.Answer = append(m.Answer, rr)
			}
		case "empty.test.":
		case "none.test.":
			m.Rcode = dns.RcodeNameError
		default:
			return
		}
		_ = w.WriteMsg(m)
	})
	started := make(chan struct{})
	server := &dns.Server{PacketConn: pc, Handler: handler, NotifyStartedFunc: func() { close(started) }}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.ActivateAndServe()
	}()
	<-started
	t.Cleanup(func() {
		_ = server.Shutdown()
		<-done
	})
	return pc.LocalAddr().String()
}

func TestDNS(t *testing.T) {
	server := nameServer(t)
	check := func(name string) Checker {
		return load(t, map[string]any{"kind": "dns", "name": name, "resolver": server})
	}
	expect(t, check("has.test."), Target{}, "")
	expect(t, check("none.test."), Target{}, "no such host")
	expect(t, check("none.test."), Target{}, server) // the reason names who was asked
	expect(t, check("empty.test."), Target{}, "no such host")
	timesOut(t, check("silent.test."), Target{})
	expect(t, load(t, map[string]any{"kind": "dns", "name": "127.0.0.1"}), Target{}, "")

	failsToLoad(t, `{"kind":"dns"}`, "no name")
	failsToLoad(t, `{"kind":"dns","name":"a.test","resolver":"10.0.0.1"}`, "write ip:port")
}
