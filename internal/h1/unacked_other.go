//go:build !linux

package h1

// unacknowledged is not known here.
func (l *look) unacknowledged() int64 { return 0 }
