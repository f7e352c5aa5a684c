package adaptation

import (
	"encoding/json"
	"fmt"
	"sync"
)

// maxNotes bounds the notes. Beyond it all are given up, and with them the places in messages.
const maxNotes = 1 << 14

// notes are kept by the content of what they are about. A configuration is loaded from JSON, so
// nothing else of it is the same as while the Caddyfile was read.
var notes = struct {
	sync.Mutex
	about map[string]any
}{about: make(map[string]any)}

// Note keeps a note about a part of the configuration for the rest of this process. key is encoded
// as JSON; a note of an equal key is replaced.
func Note(key, note any) {
	text, err := noteKey(key)
	if err != nil {
		return
	}
	notes.Lock()
	defer notes.Unlock()
	if len(notes.about) >= maxNotes {
		clear(notes.about)
	}
	notes.about[text] = note
}

// Noted returns the note about an equal key. It has none if the configuration was adapted by
// another process.
func Noted[T any](key any) (note T, ok bool) {
	text, err := noteKey(key)
	if err != nil {
		return note, false
	}
	notes.Lock()
	defer notes.Unlock()
	note, ok = notes.about[text].(T)
	return note, ok
}

func noteKey(key any) (string, error) {
	text, err := json.Marshal(key)
	return fmt.Sprintf("%T %s", key, text), err
}
