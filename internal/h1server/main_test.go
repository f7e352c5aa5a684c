package h1server

import (
	"testing"
	"time"

	"go.uber.org/goleak"
)

// TestMain also looks for goroutines that outlived their connection.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// eventually waits for a condition that other goroutines bring about.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	pause := 20 * time.Microsecond
	for end := time.Now().Add(20 * time.Second); !condition(); pause = min(2*pause, time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain: %s", what)
		}
		time.Sleep(pause)
	}
}
