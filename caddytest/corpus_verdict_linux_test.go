package caddytest

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/caddylb/caddy-lb/caddytest/internal/judge"
	"github.com/caddylb/caddy-lb/caddytest/internal/strict"
)

// inParallel calls f with 0 to n-1, by so many goroutines.
func inParallel(workers, n int, f func(i int)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				f(i)
			}
		})
	}
	wg.Wait()
}

// verdict sums up what was found.
type verdict struct {
	t     *testing.T
	found map[judge.Kind]int
	shown map[string]bool // groups of cases and kinds, of each of which one is shown in full
}

func (v *verdict) begin() {
	v.shown = make(map[string]bool)
	v.found = map[judge.Kind]int{judge.Smuggled: 0, judge.Crossed: 0, judge.Unclear: 0, judge.Lost: 0, judge.Leaked: 0}
}

// count adds what was found of a case.
func (v *verdict) count(name, exchange string, found []judge.Finding) {
	v.t.Helper()
	if v.found == nil {
		v.begin()
	}
	if len(found) == 0 {
		return
	}
	for _, f := range found {
		v.found[f.Kind]++
	}
	group, _, _ := strings.Cut(name, "/")
	if group += string(found[0].Kind); v.shown[group] {
		v.t.Errorf("%s: %s", name, found[0].Kind)
		return
	}
	v.shown[group] = true
	text := name
	for _, f := range found {
		text += fmt.Sprintf("\n  %s: %.400s", f.Kind, f.Text)
	}
	v.t.Errorf("%s\n  %s", text, exchange)
}

// backend adds what came of no client, and what is no message.
func (v *verdict) backend(r *recorder) {
	v.t.Helper()
	for client, messages := range r.messages {
		v.found[judge.Smuggled] += len(messages)
		v.t.Errorf("smuggled: of no client, but of %s: %s", client, judge.Describe(messages[0]))
	}
	for _, text := range r.unclear {
		v.found[judge.Unclear]++
		v.t.Errorf("unclear: the backend is sent %s", text)
	}
}

// answered reports whether a backend has answered a case, and all before it.
func answered(e *judge.Exchange) bool {
	requests, err := e.Read()
	if err != nil {
		return false
	}
	asked := make([]strict.Asked, len(requests))
	for i, m := range requests {
		asked[i] = strict.Asked{Method: m.Method, Minor: m.Minor}
	}
	answers, _, err := strict.Reader{}.Answers(e.Got, asked)
	served := 0
	for _, a := range answers {
		served += len(a.Fields.Values(judge.ForField))
	}
	// The connection of HTTP/1.0 may end with the case.
	return err == nil && served >= len(requests)-1
}
