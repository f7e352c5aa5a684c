package fleet

import (
	"context"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Fault is what is wrong with a backend that listens. Its health checks pass all the same, unless it hangs: these are
// the failures that only the traffic shows.
type Fault int32

// The faults.
const (
	None     Fault = iota
	Hang           // accepts connections and requests and never answers
	Fail           // answers 500 at once
	FailHalf       // answers 500 to one request of two, in the usual time
	Slow           // takes longer, by the factor of the options
	Reset          // resets the connection in the middle of the answer
)

// Paths that are served in another way than by an answer after the service time.
const (
	HealthPath    = "/health"    // 200 at once
	WebSocketPath = "/websocket" // messages come back
	UploadPath    = "/upload"    // the answer is the number of bytes received
)

// BackendField is the field of an answer that names the backend, by its index.
const BackendField = "X-Backend"

// Options are what the backends of a fleet have in common.
type Options struct {
	// Service is how long an answer takes, give or take a tenth.
	Service time.Duration
	// Slower is by how much a slow backend is slower.
	Slower float64
	// Capacity is how many requests at once a backend serves without getting slower; above, everything takes longer with the square of
	// the excess, as where processes begin to swap. 0 is without bound.
	Capacity int
	// Observe is called as each request arrives, if it is not nil.
	Observe func(*http.Request)
}

// Counts is what reached a backend, health checks not counted.
type Counts struct {
	Requests int64
	Conns    int64 // connections that carried at least one of these requests
}

// Backend is one server. Its methods are safe for concurrent use.
type Backend struct {
	Options

	name     string
	addr     string
	requests atomic.Int64
	conns    atomic.Int64
	active   atomic.Int64
	peak     atomic.Int64
	fault    atomic.Int32

	mu       sync.Mutex
	server   *http.Server
	hijacked map[net.Conn]struct{} // the server does not close them
	healed   chan struct{}         // closed when a backend that hangs goes on
}

// answerSize is what an answer has, in two writes of equal size.
const answerSize = 2 << 10

var (
	half   = make([]byte, answerSize/2)
	silent = log.New(io.Discard, "", 0)
)

// Addr is where the backend listens.
func (b *Backend) Addr() string { return b.addr }

// Counts is what the backend counted so far.
func (b *Backend) Counts() Counts { return Counts{b.requests.Load(), b.conns.Load()} }

// Peak is the most requests that the backend had at once.
func (b *Backend) Peak() int { return int(b.peak.Load()) }

// Break gives the backend a fault. Requests under way keep the one they arrived with, but those that hang go on.
func (b *Backend) Break(f Fault) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if Fault(b.fault.Swap(int32(f))) == Hang {
		close(b.healed)
		b.healed = make(chan struct{})
	}
}

type connKey struct{}

// connContext gives each connection a mark of whether it has carried traffic.
func (b *Backend) connContext(ctx context.Context, _ net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, new(atomic.Bool))
}

// ServeHTTP implements http.Handler.
func (b *Backend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	fault := Fault(b.fault.Load())
	if r.URL.Path == HealthPath {
		if fault == Hang {
			b.hang(r)
		}
		return
	}
	if b.Observe != nil {
		b.Observe(r)
	}
	b.requests.Add(1)
	if mark := r.Context().Value(connKey{}).(*atomic.Bool); !mark.Swap(true) {
		b.conns.Add(1)
	}
	active := b.active.Add(1)
	defer b.active.Add(-1)
	for peak := b.peak.Load(); active > peak && !b.peak.CompareAndSwap(peak, active); {
		peak = b.peak.Load()
	}
	w.Header().Set(BackendField, b.name)
	switch r.URL.Path {
	case WebSocketPath:
		b.echo(w, r)
	case UploadPath:
		n, _ := io.Copy(io.Discard, r.Body)
		w.Write([]byte(strconv.FormatInt(n, 10)))
	default:
		b.answer(w, r, fault, active)
	}
}

func (b *Backend) answer(w http.ResponseWriter, r *http.Request, fault Fault, active int64) {
	switch fault {
	case Hang:
		b.hang(r)
		return
	case Fail:
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	sleep(r.Context(), b.serviceTime(fault, active))
	if fault == FailHalf && rand.IntN(2) == 0 {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Length", strconv.Itoa(answerSize))
	w.Write(half)
	_ = http.NewResponseController(w).Flush()
	if fault == Reset {
		reset(w)
		return
	}
	w.Write(half)
}

func (b *Backend) serviceTime(fault Fault, active int64) time.Duration {
	const most = 100
	d := float64(b.Service) * (0.9 + 0.2*rand.Float64())
	if fault == Slow {
		d *= b.Slower
	}
	if over := float64(active) / float64(b.Capacity); b.Capacity > 0 && over > 1 {
		d *= min(over*over, most)
	}
	return time.Duration(d)
}

// hang waits until the backend goes on, or the client does not wait any longer.
func (b *Backend) hang(r *http.Request) {
	b.mu.Lock()
	healed := b.healed
	b.mu.Unlock()
	select {
	case <-healed:
	case <-r.Context().Done():
	}
}

// sleep ends early when the client is gone, as a server does that looks.
func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// reset ends the connection so that the other side gets a reset.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	conn.Close()
}
