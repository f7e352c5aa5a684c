package placeholder

import "testing"

func TestScan(t *testing.T) {
	for text, want := range map[string]struct {
		whole bool
		n     int
	}{
		"":             {},
		"plain":        {},
		`\{plain\}`:    {},
		"{a}":          {true, 1},
		`{a\}b}`:       {true, 1},
		"{a}{b}":       {false, 2},
		"x{a}":         {false, 1},
		"{a}/{b.c}/y":  {false, 2},
		`\{{http.a}\}`: {false, 1},
	} {
		whole, n, err := Scan(text)
		if err != nil || whole != want.whole || n != want.n {
			t.Errorf("%q: whole %v, %d placeholders, error %v; want %+v", text, whole, n, err, want)
		}
	}
	for _, text := range []string{"{", "}", "{}", "{a", "a}", "{a{b}}", `{a\}`, "{a}}"} {
		if _, n, err := Scan(text); err == nil || n != 0 {
			t.Errorf("%q: %d placeholders and no error", text, n)
		}
	}
}
