package caddytest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// contextUntil ends with the test, or when left is closed.
func contextUntil(t *testing.T, left <-chan struct{}) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(t.Context(), patience())
	go func() {
		select {
		case <-left:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

// endsHTTP2 is a client of HTTP/2 with one stream on a connection of its own.
type endsHTTP2 struct {
	fr      *http2.Framer
	writing sync.Mutex // held while a frame is written
	gone    bool       // the stream was reset; guarded by writing
}

const endsStreamID = 1

// endsOverHTTP2 speaks HTTP/2 frame by frame.
func endsOverHTTP2(dial func() (net.Conn, error)) endsClient {
	return func(url string, form endsForm, left <-chan struct{}) (string, error) {
		conn, err := dial()
		if err != nil {
			return "", err
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(patience()))
		c := &endsHTTP2{fr: http2.NewFramer(conn, conn)}
		c.fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
		if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
			return "", err
		}
		if err := c.begin(url, form); err != nil {
			return "", err
		}
		over := make(chan struct{})
		var sending sync.WaitGroup
		defer sending.Wait()
		defer close(over)
		if form.trickle {
			sending.Go(func() { trickle(over, func() error { return c.write("x") }) })
		}
		sending.Go(func() {
			select {
			case <-left:
				c.leave()
				_ = conn.SetReadDeadline(time.Unix(1, 0))
			case <-over:
			}
		})
		return c.read()
	}
}

// begin sends the head, and what there is of the body at once.
func (c *endsHTTP2) begin(target string, form endsForm) error {
	u, err := url.Parse(target)
	if err != nil {
		return err
	}
	fields := []hpack.HeaderField{
		{Name: ":method", Value: http.MethodPost},
		{Name: ":scheme", Value: u.Scheme},
		{Name: ":authority", Value: u.Host},
		{Name: ":path", Value: u.RequestURI()},
		{Name: "te", Value: "trailers"},
	}
	if form.length > 0 {
		fields = append(fields, hpack.HeaderField{Name: "content-length", Value: strconv.FormatInt(form.length, 10)})
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	if err := c.fr.WriteSettings(); err != nil {
		return err
	}
	err = c.fr.WriteHeaders(http2.HeadersFrameParam{
		StreamID: endsStreamID, BlockFragment: encodeFields(fields), EndHeaders: true, EndStream: form.length == 0,
	})
	if err == nil && form.begins != "" {
		err = c.fr.WriteData(endsStreamID, form.whole, []byte(form.begins))
	}
	return err
}

// write sends a part of the body.
func (c *endsHTTP2) write(data string) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	if c.gone {
		return net.ErrClosed
	}
	return c.fr.WriteData(endsStreamID, false, []byte(data))
}

// leave resets the stream.
func (c *endsHTTP2) leave() {
	c.writing.Lock()
	defer c.writing.Unlock()
	c.gone = true
	_ = c.fr.WriteRSTStream(endsStreamID, http2.ErrCodeCancel)
}

// read reads the answer to its end.
func (c *endsHTTP2) read() (string, error) {
	var status int
	var body strings.Builder
	trailer := make(http.Header)
	for {
		frame, err := c.fr.ReadFrame()
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded) && status == 0:
			return endsHeld, nil
		case err != nil:
			return outcomeOf(status, body.String(), trailer, err), nil
		}
		ended := false
		switch f := frame.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() {
				c.writing.Lock()
				err = c.fr.WriteSettingsAck()
				c.writing.Unlock()
			}
		case *http2.MetaHeadersFrame:
			if status == 0 {
				status, err = strconv.Atoi(f.PseudoValue("status"))
			} else {
				for _, field := range f.RegularFields() {
					trailer.Add(field.Name, field.Value)
				}
			}
			ended = f.StreamEnded()
		case *http2.DataFrame:
			body.Write(f.Data())
			ended = f.StreamEnded()
		case *http2.RSTStreamFrame:
			return outcomeOf(status, body.String(), trailer, fmt.Errorf("reset with %v", f.ErrCode)), nil
		case *http2.GoAwayFrame:
			return "", fmt.Errorf("the connection was ended with %v", f.ErrCode)
		}
		if err != nil {
			return "", err
		}
		if ended {
			return outcomeOf(status, body.String(), trailer, nil), nil
		}
	}
}
