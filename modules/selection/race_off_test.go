//go:build !race

package selection

// raceEnabled says that the tests do not run under the race detector.
const raceEnabled = false
