package adaptation

import "sync"

// messages counts warnings by their text.
type messages struct {
	mu     sync.Mutex
	counts map[string]int
}

// told has the warnings of this process's adaptations of which no configuration was loaded since.
var told messages

func (m *messages) add(text string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.counts == nil || len(m.counts) >= maxNotes { // whoever adapts that much loads nothing
		m.counts = make(map[string]int)
	}
	m.counts[text]++
}

func (m *messages) remove(text string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.counts[text]--; m.counts[text] <= 0 {
		delete(m.counts, text)
	}
}

// ClaimTold returns the texts of the warnings that adaptations gave in this process since it was
// last called. The configuration that is being loaded need not give them again.
func ClaimTold() map[string]bool {
	told.mu.Lock()
	defer told.mu.Unlock()
	texts := make(map[string]bool, len(told.counts))
	for text := range told.counts {
		texts[text] = true
	}
	told.counts = nil
	return texts
}
