//go:build !linux

package lbproxy

import (
	"net"
	"time"
)

// closeEmpty would close ln when no connection waits to be accepted. Only Linux tells, and elsewhere Caddy may share the
// listener among its configurations.
func closeEmpty(*net.TCPListener, time.Time) bool { return false }
