package h1

import (
	"flag"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// Tests that are as long as one wants them.
var (
	chaosTime = flag.Duration("chaos", 0, "how long the chaos test runs; 0 for once over every byte")
	posts     = flag.Int("posts", 4_000, "how many requests the test of repeated requests sends")
)

// TestMain also looks for goroutines that outlived their connection.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// eventually waits for a condition that other goroutines bring about.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !condition(); {
		if time.Now().After(end) {
			t.Fatalf("waited in vain: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}
