package adaptation

import (
	"runtime"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
)

func init() {
	httpcaddyfile.RegisterDirective("adaptation_test", func(h httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
		return nil, testDirective(h)
	})
	httpcaddyfile.RegisterDirectiveOrder("adaptation_test", httpcaddyfile.Before, "respond")
}

// testDirective is what the directive of the tests does.
var testDirective func(h httpcaddyfile.Helper) error

func adapt(t *testing.T, text string) []string {
	t.Helper()
	_, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	var messages []string
	for _, w := range warnings {
		messages = append(messages, w.Message)
	}
	return messages
}

const sites = ":80 {\n\tadaptation_test\n\tadaptation_test\n\thandle {\n\t\tadaptation_test\n\t}\n}\n\n:81 {\n\tadaptation_test\n}\n"

// This fails when a version of Caddy has renamed what is read of its Helper.
func TestHelperShowsWarnings(t *testing.T) {
	last := caddyconfig.Warning{Message: "first"}
	testDirective = func(h httpcaddyfile.Helper) error {
		a := Of(h)
		if !a.Whole() {
			t.Error("the list of warnings is not to be found")
		}
		n := Value(a, "calls", func() *int { return new(int) })
		*n++
		a.Retract(last)
		last = caddyconfig.Warning{Message: string(rune('0' + *n))}
		a.Warn(last)
		return nil
	}
	for range 2 {
		if got := adapt(t, sites); len(got) != 1 || got[0] != "4" {
			t.Errorf("the warnings are %q, want the last alone", got)
		}
	}
	if told := ClaimTold(); !told["4"] || told["3"] || len(ClaimTold()) != 0 {
		t.Errorf("told %v", told)
	}
}

func TestHelperShowsBlocks(t *testing.T) {
	calls := make(map[any]int)
	testDirective = func(h httpcaddyfile.Helper) error {
		calls[Block(h)]++
		return nil
	}
	adapt(t, sites)
	if len(calls) != 3 || calls[nil] > 0 {
		t.Errorf("%v, want three blocks", calls)
	}
}

func TestValuesGoWithTheirAdaptation(t *testing.T) {
	testDirective = func(h httpcaddyfile.Helper) error {
		Value(Of(h), "large", func() []byte { return make([]byte, 1<<10) })
		return nil
	}
	for range 10 {
		adapt(t, sites)
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		runtime.GC()
		running.Lock()
		n := len(running.values)
		running.Unlock()
		if n == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d adaptations are kept", n)
		}
	}
}

func TestNotes(t *testing.T) {
	type key struct{ Name string }
	if _, ok := Noted[int](key{"a"}); ok {
		t.Error("a note that nobody made")
	}
	Note(key{"a"}, 1)
	Note(key{"a"}, 2)
	Note(key{"b"}, 3)
	if n, ok := Noted[int](key{"a"}); !ok || n != 2 {
		t.Errorf("noted %d", n)
	}
	if _, ok := Noted[string](key{"a"}); ok {
		t.Error("a note of another type")
	}
	if _, ok := Noted[int](struct{ Name string }{"a"}); ok {
		t.Error("a note about another type")
	}
	for i := range maxNotes + 1 {
		Note(i, i)
	}
	notes.Lock()
	defer notes.Unlock()
	if len(notes.about) > maxNotes {
		t.Errorf("%d notes", len(notes.about))
	}
}
