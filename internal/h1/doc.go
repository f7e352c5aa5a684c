// Package h1 is the client side of HTTP/1.1 (RFC 9112) as a load balancer needs it: a request is written and its answer is read on
// the goroutine of the caller, idle connections have no goroutine of their own, and every failure says whether the
// server can have seen the request.
//
// A [Client] holds the connections to any number of servers, a [Host] those to one, and an [Exchange] is one request with
// its answer. It knows nothing of balancing, of Caddy, and of other versions of HTTP.
package h1
