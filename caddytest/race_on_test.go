//go:build race

package caddytest

// raceEnabled says that the tests run under the race detector.
const raceEnabled = true
