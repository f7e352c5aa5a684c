// Package judge decides whether a proxy kept its clients' messages apart. It reads what a client
// sent, what the backends were sent in its name and what the client was answered with the reader of
// package strict, and knows nothing else of the proxy.
//
// There are five kinds of findings. Smuggled is a message at a backend that no reader of the
// client's bytes would see, or that differs from what the client sent. Crossed is an answer that
// belongs to another request. Unclear is a byte stream of the proxy that is not a sequence of clear
// messages. Lost is a clear request without an answer. Leaked is a field that must not go on, or
// one that came out of nothing.
package judge
