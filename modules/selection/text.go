package selection

import "unsafe"

// textBytes views s as bytes without copying it, for hash functions that take bytes. They must not be written.
func textBytes(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }
