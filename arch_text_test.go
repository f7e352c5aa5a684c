package caddylb_test

import (
	"bytes"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The words looked for are put together from halves, so that this file does not contain them.
var forbiddenText = []struct {
	pattern *regexp.Regexp
	reason  string
}{
	{
		regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|XX` + `X)\b`),
		"a thing is done, or it is an issue",
	},
	{
		regexp.MustCompile(`(^|[\s"'` + "`" + `=(:])/(wo` + `rk|ro` + `ot|ho` + `me/[a-z]\w*|Us` + `ers/\w+)/`),
		"a path of one machine means nothing on another",
	},
	{
		regexp.MustCompile(`\b(proxy\.go` + `lang\.org|sum\.go` + `lang\.org|goproxy\.(io|cn)|registry\.np` + `mjs\.org|deb\.de` + `bian\.org)\b`),
		"where packages come from is configured on the machine that builds",
	},
}

func TestForbiddenText(t *testing.T) {
	for _, p := range files(t) {
		if path.Base(p) == "go.sum" || strings.Contains(p, "testdata/") {
			continue
		}
		data, err := os.ReadFile(filepath.FromSlash(p))
		if err != nil {
			t.Fatal(err)
		}
		if bytes.IndexByte(data, 0) >= 0 {
			continue
		}
		for i, line := range strings.Split(string(data), "\n") {
			for _, f := range forbiddenText {
				if found := f.pattern.FindString(line); found != "" {
					t.Errorf("%s:%d: %q: %s", p, i+1, strings.TrimSpace(found), f.reason)
				}
			}
		}
	}
}

// markdownLink finds the target of an inline link.
var markdownLink = regexp.MustCompile(`\]\(([^)\s]+)\)`)

func TestLinksBetweenPagesResolve(t *testing.T) {
	for _, p := range files(t) {
		if path.Ext(p) != ".md" {
			continue
		}
		data, err := os.ReadFile(filepath.FromSlash(p))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range markdownLink.FindAllStringSubmatch(string(data), -1) {
			target, _, _ := strings.Cut(m[1], "#")
			if target == "" || strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.FromSlash(path.Dir(p)), filepath.FromSlash(target))); err != nil {
				t.Errorf("%s links to %s, which does not exist", p, m[1])
			}
		}
	}
}
