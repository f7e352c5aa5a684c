package lbproxy

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// grpcBackend answers with a status of gRPC: in the trailer, or alone in the header.
func grpcBackend(t *testing.T, code string, alone bool) *httptest.Server {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/grpc")
		if alone {
			w.Header().Set("Grpc-Status", code)
			return
		}
		w.Header().Set("Trailer", "Grpc-Status")
		_, _ = w.Write([]byte("message"))
		w.Header().Set("Grpc-Status", code)
	}))
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	t.Cleanup(s.Close)
	return s
}

func TestFailedCallsOfGRPCCountAgainstTheBackend(t *testing.T) {
	for _, c := range []struct {
		code    string
		alone   bool
		ejected bool
	}{{"14", false, true}, {"13", true, true}, {"0", false, false}, {"5", false, false}} {
		a, b := grpcBackend(t, c.code, c.alone), grpcBackend(t, "0", false)
		p := startProxy(t, `"upstreams":[{"dial":"`+hostOf(a.URL)+`","scheme":"h2c"},{"dial":"`+hostOf(b.URL)+`","scheme":"h2c"}],`+
			`"health_checks":{"outlier_detection":{"consecutive_5xx":3,"consecutive_gateway_failure":3,"max_ejection_percent":50}}`)
		for range 8 {
			if r := p.get("/"); r.status != http.StatusOK {
				t.Fatalf("status %d", r.status)
			}
		}
		pool := runningPools()[0]
		m := pool.Snapshot().Find(hostOf(a.URL))
		eventually(t, "verdict", func() bool {
			m = pool.Snapshot().Find(hostOf(a.URL))
			return m.EjectedNow() == c.ejected
		})
		failures := (*pool.entries.Load())[m.Backend].stats.failures.Load()
		if (failures > 0) != c.ejected {
			t.Errorf("code %s: %d failures counted", c.code, failures)
		}
	}
}

func hostOf(url string) string { return strings.TrimPrefix(url, "http://") }
