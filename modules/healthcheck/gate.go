package healthcheck

import (
	"context"
	"sync"
)

// Gate lets one check through at a time, in the order of arrival. The zero value is ready for use.
type Gate struct {
	once sync.Once
	slot chan struct{}
}

// enter waits for its turn, or until ctx ends, which it reports as an error.
func (g *Gate) enter(ctx context.Context) error {
	g.once.Do(func() { g.slot = make(chan struct{}, 1) })
	select {
	case g.slot <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// leave lets the next one through. It follows each enter that succeeded.
func (g *Gate) leave() { <-g.slot }
