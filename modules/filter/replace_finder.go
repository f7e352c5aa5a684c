package filter

import "bytes"

// textFinder finds texts in a stream of bytes. It is not changed once made.
type textFinder struct {
	texts   [][]byte
	byFirst [256][]int // the texts that begin with a byte, in order
	only    int        // the byte that all texts begin with; -1 for several
}

// newTextFinder prepares the search for texts none of which is empty.
func newTextFinder(pairs []ReplacePair) *textFinder {
	f := &textFinder{only: int(pairs[0].Search[0])}
	for i, pair := range pairs {
		first := pair.Search[0]
		f.texts = append(f.texts, []byte(pair.Search))
		f.byFirst[first] = append(f.byFirst[first], i)
		if int(first) != f.only {
			f.only = -1
		}
	}
	return f
}

// find looks for the first text in data, which is the end of the stream or not. plain is how many bytes before it belong to no text, and match
// its index, or -1. Without a match the bytes behind plain, if there are any, may begin a text of which the rest is still to come.
func (f *textFinder) find(data []byte, end bool) (plain, match int) {
	for i := 0; ; i++ {
		i += f.skip(data[i:])
		if i == len(data) {
			return i, -1
		}
		if match, open := f.at(data[i:], end); match >= 0 || open {
			return i, match
		}
	}
}

// skip is how many bytes there are before the first that begins a text.
func (f *textFinder) skip(data []byte) int {
	if f.only >= 0 {
		if i := bytes.IndexByte(data, byte(f.only)); i >= 0 {
			return i
		}
		return len(data)
	}
	for i, b := range data {
		if f.byFirst[b] != nil {
			return i
		}
	}
	return len(data)
}

// at is the text that data begins with, or -1. open says that more has to come before that is known: a text that has precedence may begin here.
func (f *textFinder) at(data []byte, end bool) (match int, open bool) {
	for _, i := range f.byFirst[data[0]] {
		text := f.texts[i]
		if len(text) <= len(data) {
			if bytes.HasPrefix(data, text) {
				return i, false
			}
		} else if !end && bytes.HasPrefix(text, data) {
			return -1, true
		}
	}
	return -1, false
}
