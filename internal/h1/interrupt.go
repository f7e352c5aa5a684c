package h1

import "context"

// Interrupt ends the exchange at once, whatever state it is in; what fails by that fails with cause. The first cause stands. Any
// goroutine may call it, at any time. While the exchange waits for a connection it is the request's context that ends that: whoever
// interrupts cancels it as well.
func (x *Exchange) Interrupt(cause error) {
	if !x.cause.CompareAndSwap(nil, &cause) {
		return
	}
	if c := x.current.Load(); c != nil {
		c.abort(x, nil)
	}
}

// ended is why the exchange was ended from outside; nil when it was not.
func (x *Exchange) ended() error {
	if cause := x.cause.Load(); cause != nil {
		return *cause
	}
	return context.Cause(x.context())
}

// blame notes why the exchange is ended from outside. The first reason stands.
func (x *Exchange) blame(err error) { x.cause.CompareAndSwap(nil, &err) }
