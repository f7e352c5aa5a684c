package filter

import "github.com/caddylb/caddy-lb/internal/placeholder"

// Doubtful is implemented by filters that know what of their configuration is legal but surely not
// meant. Doubts is called on a configuration that was read. Each doubt is a warning: what comes of
// it, and what to write.
type Doubtful interface {
	Doubts() []string
}

// PoolUser is implemented by filters that send requests to pools by name. PoolNames is called on a
// configuration that was read; a name that no pool has is an error while a Caddyfile is adapted.
type PoolUser interface {
	PoolNames() []string
}

// doubtKey is the doubts about a key.
func doubtKey(text string) []string {
	if doubt := placeholder.Doubt(text); doubt != "" {
		return []string{"the key " + text + ": " + doubt}
	}
	return nil
}

// Doubts implements [Doubtful].
func (f *RateLimit) Doubts() []string { return doubtKey(f.Key) }

// Doubts implements [Doubtful].
func (f *MaxInflight) Doubts() []string { return doubtKey(f.Key) }

// Doubts implements [Doubtful].
func (f *Canary) Doubts() []string { return doubtKey(f.StickyKey) }

// PoolNames implements [PoolUser].
func (f *Canary) PoolNames() []string { return []string{f.Pool} }

// Interface guards
var (
	_ Doubtful = (*RateLimit)(nil)
	_ Doubtful = (*MaxInflight)(nil)
	_ Doubtful = (*Canary)(nil)
	_ PoolUser = (*Canary)(nil)
)
