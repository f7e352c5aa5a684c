package selection

import (
	"runtime"
	"strings"
	"testing"
)

// Reading one value costs no memory for the others.
func TestValuesTakeNoMemoryForOthers(t *testing.T) {
	equal := func(a, b string) bool { return a == b }
	cookies, _ := serverRequest("http://example.com/", "Cookie", strings.Repeat("a=b;", 2_900)+"q=last")
	query, _ := serverRequest("http://example.com/?" + strings.Repeat("a=b&", 9_900) + "q=last")
	for name, read := range map[string]func() string{
		"cookies": func() string { return cookieValue(cookies, "q", equal) },
		"query":   func() string { return queryValue(query, "q") },
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if got := read(); got != "last" {
			t.Errorf("%s: got %q", name, got)
		}
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > 10_000 {
			t.Errorf("%s: %d bytes were allocated", name, n)
		}
	}
}
