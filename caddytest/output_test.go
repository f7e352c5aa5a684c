package caddytest

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
)

// output collects what the server writes. It is safe for concurrent use.
type output struct {
	mu   sync.Mutex
	text strings.Builder
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

func (o *output) contains(s string) bool { return strings.Contains(o.String(), s) }

// lines is every line that is complete.
func (o *output) lines() []string {
	lines := strings.Split(o.String(), "\n")
	return lines[:len(lines)-1]
}

// tail is the last n lines.
func (o *output) tail(n int) string {
	lines := o.lines()
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// around is n lines from the first that contains s.
func (o *output) around(s string, n int) string {
	lines := o.lines()
	for i, l := range lines {
		if strings.Contains(l, s) {
			return strings.Join(lines[i:min(len(lines), i+n)], "\n")
		}
	}
	return ""
}

// LogLine is one line of the server's log.
type LogLine map[string]any

// Text is a field that is a string, else "".
func (l LogLine) Text(field string) string {
	s, _ := l[field].(string)
	return s
}

// Log is the server's log so far.
func (s *Server) Log() []LogLine {
	var parsed []LogLine
	for _, line := range s.output.lines() {
		var l LogLine
		if json.Unmarshal([]byte(line), &l) == nil {
			parsed = append(parsed, l)
		}
	}
	return parsed
}

// countLog counts the lines of the log for which match holds.
func (s *Server) countLog(match func(LogLine) bool) int {
	n := 0
	for _, l := range s.Log() {
		if match(l) {
			n++
		}
	}
	return n
}

// WaitLog waits for a line for which match holds and returns the first.
func (s *Server) WaitLog(t testing.TB, what string, match func(LogLine) bool) LogLine {
	t.Helper()
	var found LogLine
	eventually(t, "the log says "+what, func() bool {
		for _, l := range s.Log() {
			if match(l) {
				found = l
				return true
			}
		}
		return false
	})
	return found
}

// textOf is a value of a log line as text, be it a string or a number there.
func textOf(v any) string {
	if v == nil {
		return ""
	}
	return fmt.Sprint(v)
}
