package syntax

import "bytes"

// FieldsAlways is how many lines a head or a trailer section may have whatever its length. No program in use sends as many.
const FieldsAlways = 2048

// bytesPerField is the least average length of the lines beyond that. A field costs the memory of about 100 bytes however short its
// line is.
const bytesPerField = 32

// TooManyFields reports whether a head or a trailer section has more lines than its length justifies: memory for its fields must
// not exceed a small multiple of what was received.
func TooManyFields[T string | []byte](p T) bool {
	return len(p) > FieldsAlways && bytes.Count([]byte(p), lf) > FieldsAlways+len(p)/bytesPerField
}

var lf = []byte("\n")
