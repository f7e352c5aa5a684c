package syntax

import "testing"

func TestIsHost(t *testing.T) {
	for _, s := range []string{"", "a", "a.test", "A_b~c-d.", "a:80", "a:", ":80", "a%20b", "a!$&'()*+,;=b", "127.0.0.1:1", "[::1]", "[::1]:80", "[::ffff:1.2.3.4]", "[v1.a:b]", "[VfF.x]:"} {
		if !IsHost(s) {
			t.Errorf("%q is no host", s)
		}
	}
	for _, s := range []string{
		"a b", "a/b", "a?b", "a#b", "u@a", "a:b", "a:80:80", "a:-1", "a%", "a%2", "a%zz", "[::1", "::1", "[::1]x", "[]", "[1.2.3.4]", "[fe80::1%25lo]", "[fe80::1%lo]", "[v.a]", "[v1.]", "[vx.a]", "[v1.a/]",
		"a\\b", "\"a\"", "<a>", "a|b", "{a}", "a^b", "a`b", "\xc3\xa9", "a\x00", "a\t", "a\r\nB: c",
	} {
		if IsHost(s) {
			t.Errorf("%q is a host", s)
		}
	}
}
