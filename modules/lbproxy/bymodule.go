package lbproxy

import (
	"crypto/sha256"
	"fmt"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// maxBackendsNamed bounds the backends that one line of the log names.
const maxBackendsNamed = 10

// noteModules tells which backends of the pool ways reach without the engine, and why. It does so
// when that changes, and at debug level when it is as it was before a reload.
func (p *pool) noteModules(ways *transports, specs []memberSpec) {
	for _, tr := range *ways.list.Load() {
		ht, ok := tr.RoundTripper.(*reverseproxy.HTTPTransport)
		if !ok || tr.engine != nil {
			continue
		}
		var names []string
		for _, s := range specs {
			if (variant{s.address.Scheme, s.serverName}) == tr.variant {
				names = append(names, s.address.String())
			}
		}
		reason, all := whyNoEngine(ht), len(names)
		level := zapcore.InfoLevel
		if p.state.notedModule(fmt.Sprint(tr.variant, reason, names)) {
			level = zapcore.DebugLevel
		}
		if all > maxBackendsNamed {
			names = append(names[:maxBackendsNamed], fmt.Sprintf("%d more", all-maxBackendsNamed))
		}
		if c := p.log.Check(level, "requests go through Caddy's http transport instead of the HTTP/1.1 engine"); c != nil {
			c.Write(zap.String("reason", reason), zap.String("backends", strings.Join(names, ", ")))
		}
	}
}

// maxNoted bounds what a pool remembers to have noted, over all its configurations.
const maxNoted = 100

// notedModule reports whether the same was noted before, and notes it.
func (s *poolState) notedModule(text string) (same bool) {
	sum := sha256.Sum256([]byte(text))
	s.telling.Lock()
	defer s.telling.Unlock()
	if s.noted[sum] {
		return true
	}
	if s.noted == nil || len(s.noted) >= maxNoted {
		s.noted = make(map[[sha256.Size]byte]bool)
	}
	s.noted[sum] = true
	return false
}
