package filter

import (
	"io"
	"net/http"
	"runtime/debug"
)

// UpstreamResponse runs the phase of [UpstreamResponseFilter].
func (c *Chain) UpstreamResponse(x *Context, res *http.Response) error {
	if c == nil || len(c.upstreamResponse) == 0 {
		return nil
	}
	return each(c, x, c.upstreamResponse, "upstream response", func(f UpstreamResponseFilter) error { return f.UpstreamResponse(x, res) })
}

// Response runs the phase of [ResponseFilter], and then next with the status, unless a filter answered instead. x.Writer is what next
// writes to.
func (c *Chain) Response(x *Context, status int, next func(status int) error) error {
	if c == nil {
		return next(status)
	}
	return c.responseFrom(0, x, status, next)
}

func (c *Chain) responseFrom(i int, x *Context, status int, next func(status int) error) error {
	for ; i < len(c.response); i++ {
		s := &c.response[i]
		if f, ok := s.filter.(ResponseFilter); ok {
			err := c.call(x, s.name, "response", func() (err error) {
				status, err = f.Response(x, status, x.Writer.Header())
				return err
			})
			if err != nil {
				return err
			}
			continue
		}
		return c.wrap(x, s.name, "response", s.filter.(ResponseMiddleware).ServeResponse, func() error {
			return c.responseFrom(i+1, x, status, next)
		})
	}
	return next(status)
}

// ResponseBody puts the filters of the phase behind the body.
func (c *Chain) ResponseBody(x *Context, body io.ReadCloser) (io.ReadCloser, error) {
	if c == nil || len(c.responseBody) == 0 {
		return body, nil
	}
	err := each(c, x, c.responseBody, "response body", func(f ResponseBodyFilter) (err error) {
		body, err = f.ResponseBody(x, body)
		return err
	})
	return &guarded{body}, err
}

// Trailers runs the phase of [TrailersFilter].
func (c *Chain) Trailers(x *Context, trailer http.Header) error {
	if c == nil || len(c.trailers) == 0 || len(trailer) == 0 {
		return nil
	}
	return each(c, x, c.trailers, "trailers", func(f TrailersFilter) error { return f.Trailers(x, trailer) })
}

// Failed runs the phase of [FailureFilter] and returns the error to go on with.
func (c *Chain) Failed(x *Context, err error) error {
	if c == nil {
		return err
	}
	for i := range c.failed {
		s := &c.failed[i]
		failure := c.call(x, s.name, "failure", func() error {
			err = s.filter.Failed(x, err)
			return nil
		})
		if failure != nil {
			return failure
		}
	}
	return err
}

// Logging runs the phase of [LoggingFilter]. What a filter does wrong there is logged, and harms nobody.
func (c *Chain) Logging(x *Context, err error) {
	if c == nil {
		return
	}
	for i := range c.logging {
		s := &c.logging[i]
		failure := c.call(x, s.name, "logging", func() error {
			s.filter.Logging(x, err)
			return nil
		})
		if failure != nil {
			x.Logger.Error(failure.Error())
		}
	}
}

// guarded makes a panic of a filter's body an error, as bodies are read by goroutines that have nobody to catch it.
type guarded struct{ io.ReadCloser }

// Read implements io.Reader.
func (g *guarded) Read(p []byte) (n int, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &panicked{v, debug.Stack()}
		}
	}()
	return g.ReadCloser.Read(p)
}
