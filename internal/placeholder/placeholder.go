// Package placeholder looks for Caddy's placeholders in text, so that a mistake in one is an error when a configuration is loaded. Caddy's
// replacer itself leaves what it does not understand as it is.
package placeholder

import "errors"

// Scan counts the placeholders in text and reports whether it is nothing but one of them. Braces after a backslash are plain text, as for
// Caddy's replacer. The errors say what to write instead; n and whole are 0 and false then.
func Scan(text string) (whole bool, n int, err error) {
	escaped := func(i int) bool { return i > 0 && text[i-1] == '\\' }
	for i := 0; i < len(text); i++ {
		if text[i] == '}' && !escaped(i) {
			return false, 0, errors.New(`a brace is closed that was not opened: write \} for the character itself`)
		}
		if text[i] != '{' || escaped(i) {
			continue
		}
		end := i + 1
		for end < len(text) && (text[end] != '}' || escaped(end)) {
			if text[end] == '{' && !escaped(end) {
				return false, 0, errors.New(`a brace is opened inside of a placeholder: close the first one, or write \{ for the character itself`)
			}
			end++
		}
		if end == len(text) {
			return false, 0, errors.New(`a brace is opened and not closed: write {name}, or \{ for the character itself`)
		}
		if end == i+1 {
			return false, 0, errors.New("a placeholder has no name: write one such as {http.request.uri.path}")
		}
		n++
		whole = i == 0 && end == len(text)-1
		i = end
	}
	return whole && n == 1, n, nil
}
