//go:build !race

package caddytest

// raceEnabled says that the tests do not run under the race detector.
const raceEnabled = false
