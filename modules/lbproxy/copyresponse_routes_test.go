package lbproxy

import (
	"encoding/json"
	"testing"
)

func TestReplaceNames(t *testing.T) {
	for _, tc := range []struct{ name, raw, want string }{
		{"the handler", `{"handler":"copy_response","status_code":404}`, `{"handler":"lb_copy_response","status_code":404}`},
		{"with headers", `{"handler":"copy_response_headers","include":["A"]}`, `{"handler":"lb_copy_response_headers","include":["A"]}`},
		{"escaped", `{"handler":"copy\u005fresponse"}`, `{"handler":"lb_copy_response"}`},
		{
			"in subroutes", `{"handler":"subroute","errors":{"routes":[{"handle":[{"handler":"copy_response"}]}]},"routes":[{"handle":[{"handler":"copy_response"}],"match":[{"path":["/a"]}]}]}`,
			`{"errors":{"routes":[{"handle":[{"handler":"lb_copy_response"}]}]},"handler":"subroute","routes":[{"handle":[{"handler":"lb_copy_response"}],"match":[{"path":["/a"]}]}]}`,
		},
		{"in another proxy", `{"handler":"reverse_proxy","handle_response":[{"routes":[{"handle":[{"handler":"copy_response"}]}]}]}`, ""},
		{"in another of this kind", ` {"handler": "lb_proxy", "handle_response":[{"routes":[{"handle":[{"handler":"copy_response"}]}]}]}`, ""},
		{"beside another proxy", `[{"handler":"reverse_proxy","to":[{"handler":"copy_response"}]},{"handler":"copy_response"}]`, `[{"handler":"reverse_proxy","to":[{"handler":"copy_response"}]},{"handler":"lb_copy_response"}]`},
		{"no name", `{"handler":"static_response","body":"copy_response","n":1.50}`, ""},
		{"a name that is none", `{"handler":["copy_response"],"copy_response":{"handler":7}}`, ""},
		{"other values", `"copy_response"`, ""},
		{"null", `null`, ""},
	} {
		got, changed, err := replaceNames(json.RawMessage(tc.raw))
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
		}
		want := tc.want
		if want == "" {
			want = tc.raw // byte for byte
		}
		if string(got) != want || changed != (tc.want != "") {
			t.Errorf("%s: %s, %t; want %s", tc.name, got, changed, want)
		}
	}
	for _, raw := range []string{`{"handler":`, `[{]`} {
		if _, _, err := replaceNames(json.RawMessage(raw)); err == nil {
			t.Errorf("%s: no error", raw)
		}
	}
}
