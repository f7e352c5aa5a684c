package lbproxy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddylb/caddy-lb/internal/tunnel"
)

// streamBufferSize is the default size of the buffer for each direction of an upgraded connection.
const streamBufferSize = 32 << 10

// refuseSwitch is the failure of an answer of 101 that nobody asked for, or that switches to
// something else.
func (a *attempt) refuseSwitch() *failure {
	if a.res.StatusCode != http.StatusSwitchingProtocols || tunnel.Switched(a.ex.upgrade, a.res.Header) != "" {
		return nil
	}
	_ = a.res.Body.Close()
	f := newFailure(causeProtocol, fmt.Errorf("the backend switches to %.64q, but the client asked for %.64q",
		a.res.Header.Get("Upgrade"), a.ex.upgrade))
	a.try.Cause, a.try.Err = f.cause, f.err
	return f
}

// switchProtocols connects client and backend after an answer of 101 (RFC 9110, section 7.8), and returns when
// their connection ends.
func (ex *exchange) switchProtocols(a *attempt) error {
	if f := a.refuseSwitch(); f != nil { // filters may have changed the answer
		return ex.fail(f)
	}
	got := tunnel.Switched(ex.upgrade, a.res.Header)
	backend, ok := a.res.Body.(io.ReadWriteCloser)
	if !ok {
		_ = a.res.Body.Close()
		f := newFailure(causeProtocol, errors.New("the transport gives no way to write after an upgrade"))
		a.try.Cause, a.try.Err = f.cause, f.err
		return ex.fail(f)
	}
	client, buffered, err := ex.openTunnel(a, got)
	if err != nil {
		_ = backend.Close()
		if c := ex.h.logger.Check(zapcore.ErrorLevel, "cannot take over the client's connection"); c != nil {
			c.Write(append(ex.about(a), zap.Error(err))...)
		}
		return nil // the answer's header is out
	}
	a.report() // the stream may last for days
	st := &stream{client: &streamEnd{ReadWriteCloser: client}, backend: &streamEnd{ReadWriteCloser: backend}, webSocket: got == tunnel.WebSocket}
	ex.h.streams.add(st)
	defer ex.h.streams.remove(st)
	ex.runStream(a, st, buffered)
	return nil
}

// openTunnel sends the answer's header and takes over the client's connection. buffered is what the client sent
// ahead of the answer.
func (ex *exchange) openTunnel(a *attempt, protocol string) (conn io.ReadWriteCloser, buffered []byte, err error) {
	header := ex.w.Header()
	addEndToEnd(header, a.res.Header)
	normalizeWebSocketHeader(header)
	control := http.NewResponseController(ex.w)

	if ex.tunnel != nil {
		// To a client of HTTP/2 or HTTP/3 the stream is open with a 200; the handshake was HTTP/1.1's.
		delete(header, "Sec-WebSocket-Accept")
		ex.w.WriteHeader(http.StatusOK)
		if err := control.Flush(); err != nil {
			return nil, nil, err
		}
		return &streamTunnel{ReadCloser: ex.tunnel, w: ex.w, control: control}, nil, nil
	}
	header["Connection"] = []string{"Upgrade"}
	header["Upgrade"] = []string{protocol}
	ex.w.WriteHeader(http.StatusSwitchingProtocols)
	hijacked, rw, err := control.Hijack()
	if err != nil {
		return nil, nil, err
	}
	if err := rw.Flush(); err != nil {
		_ = hijacked.Close()
		return nil, nil, err
	}
	return hijacked, peekAll(rw.Reader), nil
}

// peekAll is what a reader holds already.
func peekAll(r *bufio.Reader) []byte {
	p, _ := r.Peek(r.Buffered())
	return p
}

// runStream copies both ways until both ended, one failed, the stream's time is over, or the request is
// canceled.
func (ex *exchange) runStream(a *attempt, st *stream, buffered []byte) {
	begun := time.Now()
	defer st.client.end()
	defer st.close()
	stopWatch := context.AfterFunc(ex.in.Context(), st.close)
	defer stopWatch()
	if d := time.Duration(ex.h.StreamTimeout); d > 0 {
		timer := time.AfterFunc(d, st.close)
		defer timer.Stop()
	}

	if len(buffered) > 0 {
		if _, err := st.backend.Write(buffered); err != nil {
			ex.logStream(a, begun, err)
			return
		}
	}
	size := ex.h.StreamBufferSize
	if size <= 0 {
		size = streamBufferSize
	}
	var wg sync.WaitGroup
	wg.Go(func() { _ = oneWay(st, st.backend, st.client, size) })
	err := oneWay(st, st.client, st.backend, size)
	wg.Wait()
	ex.logStream(a, begun, err)
}

func (ex *exchange) logStream(a *attempt, begun time.Time, err error) {
	if c := ex.h.logger.Check(zapcore.DebugLevel, "upgraded connection ended"); c != nil {
		c.Write(append(ex.about(a), zap.Duration("open", time.Since(begun)), zap.Error(err))...)
	}
}

// oneWay copies one direction of a stream. Its end is passed on as a half-close, and the other direction goes
// on; whatever else happens ends the stream.
func oneWay(st *stream, dst, src *streamEnd, size int) error {
	err := copyAll(dst, src, make([]byte, size), 1)
	if err == nil {
		err = dst.CloseWrite()
	}
	if err != nil {
		st.close()
	}
	return err
}

// streamTunnel is the client's side of an extended CONNECT: its body to read from, the answer to write to.
type streamTunnel struct {
	io.ReadCloser
	control *http.ResponseController
	w       http.ResponseWriter
}

// abortWrite has a write fail that the client does not take.
func (t *streamTunnel) abortWrite() { _ = t.control.SetWriteDeadline(time.Unix(1, 0)) }

// Write implements io.Writer. What is written is sent at once.
func (t *streamTunnel) Write(p []byte) (int, error) {
	n, err := t.w.Write(p)
	if err != nil {
		return n, err
	}
	return n, t.control.Flush()
}
