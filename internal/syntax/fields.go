package syntax

import (
	"bytes"
	"strings"
)

// FieldsAlways is how many lines a head or a trailer section may have whatever its length.
const FieldsAlways = 8192

// bytesPerField is the least average length of the lines beyond that. A field costs about 100 bytes
// of memory, however short its line is.
const bytesPerField = 32

// TooManyFields reports whether a head or a trailer section has more lines than its length
// justifies: memory for its fields must not exceed a small multiple of what was received.
func TooManyFields(p []byte) bool {
	return len(p) > FieldsAlways && bytes.Count(p, []byte{'\n'}) > FieldsAlways+len(p)/bytesPerField
}

// usualField is the least length of most fields, with the line's end.
const usualField = 16

// FieldsHint is for how many fields to make room before the lines of text are read, which may turn
// out to be none.
func FieldsHint(text string) int {
	return min(max(strings.Count(text, "\n")-1, 0), len(text)/usualField+1)
}
