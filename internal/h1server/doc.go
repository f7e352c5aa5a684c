// Package h1server is the server side of HTTP/1.1 (RFC 9112) as a load balancer needs it. A [Server] takes clients' connections over from a
// server of net/http and calls the same handler for their requests, with the same answers on the wire, for a part of the
// cost: no goroutine, no timer and hardly any allocation for a request beyond what the handler gets. What it does not read
// by itself, net/http's parser reads.
//
// A connection can outlive its server: when that is drained, its successor serves the next request.
package h1server
