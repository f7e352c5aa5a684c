package lbproxy

import (
	"errors"
	"io"
	"net"
	"sync"
	"testing"
)

// stuckClient is a client that takes nothing until it is given up.
type stuckClient struct {
	io.Reader
	writing, gone chan struct{}
}

func (c *stuckClient) Write([]byte) (int, error) {
	c.writing <- struct{}{}
	<-c.gone
	return 0, net.ErrClosed
}

func (c *stuckClient) Close() error { return nil }
func (c *stuckClient) abortWrite()  { close(c.gone) }

// TestStreamEndIsNotWrittenToAfterwards has a handler end while a close frame is being written. The handler waits
// for that, and the client is written to no more.
func TestStreamEndIsNotWrittenToAfterwards(t *testing.T) {
	client := &stuckClient{writing: make(chan struct{}, 1), gone: make(chan struct{})}
	e := &streamEnd{ReadWriteCloser: client}
	var wg sync.WaitGroup
	wg.Go(func() { _, _ = e.Write([]byte("close")) })
	<-client.writing
	wg.Go(e.end)
	e.abort()
	wg.Wait()
	if _, err := e.Write([]byte("late")); !errors.Is(err, net.ErrClosed) || len(client.writing) > 0 {
		t.Errorf("%v; %d more writes", err, len(client.writing))
	}
	e.abort() // would close the channel again
}
