package selection

import (
	"encoding/json"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// section is a policy of the documentation: its Caddyfile and its JSON.
var section = regexp.MustCompile("(?s)\n## ([a-z_]+)\n.*?```caddyfile\n.*?\t\tlb_policy (.*?)\n\t}\n}\n```\n\n```json\n(.*?)\n```")

// TestDocumentation compares the two forms of each policy's example, and the list of policies with those there
// are. The example of a policy of one's own has to be the one that is compiled.
func TestDocumentation(t *testing.T) {
	page, err := os.ReadFile("../../docs/selection.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := []string{"ketama"} // in the section of consistent
	for _, match := range section.FindAllStringSubmatch(string(page), -1) {
		name, text, want := match[1], match[2], match[3]
		documented = append(documented, name)
		raw, err := unmarshal(text)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !strings.HasPrefix(text, name) || !sameJSON(t, raw, []byte(want)) {
			t.Errorf("%s: %s adapts to %s, the page has %s", name, text, raw, want)
		}
	}
	slices.Sort(documented)
	registered := slices.DeleteFunc(policyNames(), func(n string) bool { return n == "first_byte" })
	if !slices.Equal(documented, registered) {
		t.Errorf("documented are %v, registered %v", documented, registered)
	}

	example, err := os.ReadFile("example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	code := string(example)
	code = code[strings.Index(code, "func init()"):strings.Index(code, "// A policy of one's own")]
	if !strings.Contains(string(page), strings.TrimSpace(code)) {
		t.Error("the example of a policy is not the one in example_test.go")
	}
}

func sameJSON(t *testing.T, a, b []byte) bool {
	t.Helper()
	var x, y any
	if err := json.Unmarshal(a, &x); err != nil {
		t.Error(err)
	}
	if err := json.Unmarshal(b, &y); err != nil {
		t.Error(err)
	}
	return reflect.DeepEqual(x, y)
}
