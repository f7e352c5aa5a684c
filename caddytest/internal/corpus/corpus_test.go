package corpus

import (
	"bytes"
	"strings"
	"testing"

	"github.com/caddylb/caddy-lb/caddytest/internal/strict"
)

// The corpora have what they are for: enough cases, each once, clear ones and others.
func TestCorpora(t *testing.T) {
	names := make(map[string]bool)
	clear, faulty := 0, 0
	for _, r := range Requests() {
		if names[r.Name] {
			t.Errorf("%s is there twice", r.Name)
		}
		names[r.Name] = true
		if _, _, err := (strict.Reader{}).Request([]byte(r.Raw)); err == nil {
			clear++
		} else if faulty++; r.Served {
			t.Errorf("%s has to be served, but is no request: %v", r.Name, err)
		}
	}
	clear2, faulty2 := 0, 0
	for _, r := range Requests2() {
		streams, err := strict.Reader{}.Streams(append([]byte(strict.ClientPreface), r.Frames(1)...))
		if err == nil && len(streams) > 0 {
			_, err = strict.Reader{}.Request2(streams[0])
		}
		if err == nil {
			clear2++
		} else if faulty2++; r.Served {
			t.Errorf("%s has to be served, but is no request: %v", r.Name, err)
		}
	}
	if clear < 1000 || faulty < 1500 || clear2 < 200 || faulty2 < 500 {
		t.Errorf("%d requests are clear, %d are not; of HTTP/2 %d and %d", clear, faulty, clear2, faulty2)
	}
	if n := len(Answers()); n < 200 {
		t.Errorf("%d hostile answers", n)
	}
}

// The lists are the same each time, so that a case can be found again by its name.
func TestCorporaAreTheSameEachTime(t *testing.T) {
	a, b := Requests(), Requests()
	for i := range a {
		if a[i] != b[i] {
			t.Fatalf("%s and %s", a[i].Name, b[i].Name)
		}
	}
	a2, b2 := Requests2(), Requests2()
	for i := range a2 {
		if a2[i].Name != b2[i].Name || !bytes.Equal(a2[i].Frames(1), b2[i].Frames(1)) {
			t.Fatalf("%s and %s", a2[i].Name, b2[i].Name)
		}
	}
	if !strings.Contains(a[0].Raw, "HTTP/1.1") {
		t.Errorf("the first request is %q", a[0].Raw)
	}
}
