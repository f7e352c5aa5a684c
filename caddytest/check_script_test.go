package caddytest

import (
	"net/http"
	"sync"
	"testing"
)

// checkScript says what a backend answers to its checks, one status after another, and repeats the last in
// between. The zero value answers 200. It is safe for concurrent use.
type checkScript struct {
	mu    sync.Mutex
	todo  []int
	last  int
	spare int // checks answered since nothing was left to play
}

// play adds statuses to come.
func (c *checkScript) play(statuses ...int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.todo = append(c.todo, statuses...)
	c.spare = 0
}

// next is the status of one check.
func (c *checkScript) next() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.todo) > 0 {
		c.last, c.todo = c.todo[0], c.todo[1:]
	} else {
		c.spare++
	}
	if c.last == 0 {
		c.last = http.StatusOK
	}
	return c.last
}

// waitPlayed waits until every status was given and taken in: a check begins only after the one before ended.
func (c *checkScript) waitPlayed(t testing.TB) {
	t.Helper()
	eventually(t, "the checks come", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.spare > 0
	})
}
