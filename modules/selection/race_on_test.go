//go:build race

package selection

// raceEnabled says that the tests run under the race detector.
const raceEnabled = true
