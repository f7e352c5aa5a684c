package lbproxy

import "strings"

// isNamed reports whether a connection that failed was to an address, or under a server name, that
// the request chose. dialing says that it failed before the server's name had any part in it.
func (a *attempt) isNamed(dialing bool) bool {
	return a.member != nil && dependsOnRequest(a.member.HostPort()) || !dialing && a.way != nil && dependsOnRequest(a.way.perName)
}

// fixedPlaceholders begin the names of placeholders that no request has a say in.
var fixedPlaceholders = []string{"env.", "file.", "system.", "time.", placeholderPrefix + "upstream.", "rp.upstream."}

// dependsOnRequest reports whether a text has a placeholder that may be something else for each
// request.
func dependsOnRequest(text string) bool {
	for {
		_, rest, ok := strings.Cut(text, "{")
		if !ok {
			return false
		}
		name, after, _ := strings.Cut(rest, "}")
		fixed := false
		for _, start := range fixedPlaceholders {
			fixed = fixed || strings.HasPrefix(name, start)
		}
		if !fixed {
			return true
		}
		text = after
	}
}
