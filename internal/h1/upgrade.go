package h1

// upgradedConn is the connection after the server switched protocols (RFC 9110, section 7.8). It is not watched over
// any more and belongs to whoever has it.
type upgradedConn struct{ *conn }

// upgraded takes the connection out of the exchange.
func (x *Exchange) upgraded() *upgradedConn {
	c := x.conn
	c.owner.CompareAndSwap(x, nil)
	c.host.client.watcher.remove(c)
	return &upgradedConn{c}
}

// Read implements io.Reader, beginning with what came together with the answer.
func (u *upgradedConn) Read(p []byte) (int, error) {
	n, err := u.read(p)
	if u.len() == 0 && u.mem != nil {
		u.releaseMemory()
	}
	return n, err
}

// CloseWrite closes the direction to the server, if the connection can do that.
func (u *upgradedConn) CloseWrite() error { return closeWrite(u.Conn) }

// Close implements io.Closer.
func (u *upgradedConn) Close() error {
	u.shut(u.wire.Conn)
	return nil
}
