package cluster

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"time"

	"github.com/gomodule/redigo/redis"
)

// dialTimeout is how long it may take until a connection can be used, with TLS and the password. Requests do not wait for that.
const dialTimeout = 2 * time.Second

// dial opens a connection that is ready for commands. A reply has to be waited for with a timeout of the caller's.
func (t *target) dial(ctx context.Context) (redis.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	raw, err := new(net.Dialer).DialContext(ctx, "tcp", t.address)
	if err != nil {
		return nil, err
	}
	if t.tls != nil {
		secure := tls.Client(raw, t.tls)
		if err := secure.HandshakeContext(ctx); err != nil {
			raw.Close()
			return nil, fmt.Errorf("TLS: %w", err)
		}
		raw = secure
	}
	// A write that blocks longer than a request waits is a connection that is gone.
	conn := redis.NewConn(&guard{Conn: raw}, dialTimeout, max(t.timeout, time.Second))
	if err := t.introduce(conn); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}

// introduce logs in and selects the database.
func (t *target) introduce(conn redis.Conn) error {
	if t.password != "" {
		args := []any{t.password}
		if t.username != "" {
			args = []any{t.username, t.password}
		}
		if _, err := conn.Do("AUTH", args...); err != nil {
			return fmt.Errorf("logging in: %w", err)
		}
	}
	if t.db != 0 {
		if _, err := conn.Do("SELECT", t.db); err != nil {
			return fmt.Errorf("selecting the database %d: %w", t.db, err)
		}
	}
	// For CLIENT LIST; those who forbid it lose nothing else.
	if _, err := conn.Do("CLIENT", "SETNAME", "caddy-lb"); err != nil && conn.Err() != nil {
		return err
	}
	return nil
}
