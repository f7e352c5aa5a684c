package lbproxy

import (
	"testing"

	"go.uber.org/goleak"
)

// TestMain has every test's goroutines gone at the end. What stays belongs to Caddy's libraries, which start it
// once for the process.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreTopFunction("github.com/golang/glog.(*fileSink).flushDaemon"),
	)
}
