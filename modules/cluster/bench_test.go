package cluster

import (
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/gomodule/redigo/redis"

	"github.com/caddylb/caddy-lb/lb"
)

// BenchmarkTake is what a shared limit costs a request: alone, and with others that wait at the same time.
func BenchmarkTake(b *testing.B) {
	r := startRedis(b)
	s := instance(b, Options{URL: r.url(), Timeout: caddy.Duration(5 * time.Second)})
	for _, sliding := range []bool{false, true} {
		limit := lb.Limit{Events: 1000, Window: time.Second, Burst: 100, Sliding: sliding}
		for _, waiting := range []int{1, 16, 128} {
			b.Run(fmt.Sprintf("sliding=%v/waiting=%d", sliding, waiting), func(b *testing.B) {
				parallel(b, r, waiting, func(key string) error {
					_, err := s.Take(b.Context(), key, limit)
					return err
				})
			})
		}
	}
}

// BenchmarkPool is the same with a connection for each request, from a pool of redigo's: what the shared connections are instead of.
func BenchmarkPool(b *testing.B) {
	r := startRedis(b)
	pool := &redis.Pool{
		MaxIdle: 128, MaxActive: 128, Wait: true,
		Dial: func() (redis.Conn, error) {
			return redis.Dial("tcp", r.address(), redis.DialReadTimeout(time.Second), redis.DialWriteTimeout(time.Second))
		},
	}
	defer pool.Close()
	script := redis.NewScript(1, bucketSource)
	for _, waiting := range []int{1, 16, 128} {
		b.Run(fmt.Sprintf("waiting=%d", waiting), func(b *testing.B) {
			parallel(b, r, waiting, func(key string) error {
				conn := pool.Get()
				defer conn.Close()
				_, err := script.Do(conn, "caddy_lb:b:"+key, 1000, 1_000_000, 100)
				return err
			})
		})
	}
}

// BenchmarkAway is what a Take costs while Redis is known to be away.
func BenchmarkAway(b *testing.B) {
	r := startRedis(b)
	s := instance(b, Options{URL: r.url()})
	r.stop()
	eventually(b, "Redis is away", func() bool { return s.client.open.Load() == nil })
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Take(b.Context(), "k", generous); err == nil {
			b.Fatal("Redis is there")
		}
	}
}

// parallel has a number of goroutines call do at the same time, with 1000 keys. Beside the time it reports the processor time of both
// processes, which says more on a machine that does other things too.
func parallel(b *testing.B, r *redisServer, waiting int, do func(key string) error) {
	b.ReportAllocs()
	own, redis := ownCPU(b), r.cpu()
	var turn atomic.Int64
	done := make(chan error, waiting)
	b.ResetTimer()
	for range waiting {
		go func() {
			for {
				i := turn.Add(1)
				if i > int64(b.N) {
					done <- nil
					return
				}
				if err := do(strconv.FormatInt(i%1000, 10)); err != nil {
					done <- err
					return
				}
			}
		}()
	}
	for range waiting {
		if err := <-done; err != nil {
			b.Error(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "takes/s")
	b.ReportMetric((ownCPU(b)-own)*1e6/float64(b.N), "own-µs/take")
	b.ReportMetric((r.cpu()-redis)*1e6/float64(b.N), "redis-µs/take")
}

// ownCPU is the processor time of this process, in seconds.
func ownCPU(b *testing.B) float64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()).Seconds()
}

// cpu is the processor time of the server, in seconds.
func (r *redisServer) cpu() float64 {
	info, _ := r.must("INFO", "cpu").([]byte)
	sum := 0.0
	for line := range strings.Lines(string(info)) {
		if name, value, _ := strings.Cut(strings.TrimSpace(line), ":"); name == "used_cpu_sys" || name == "used_cpu_user" {
			seconds, err := strconv.ParseFloat(value, 64)
			if err != nil {
				r.t.Fatal(err)
			}
			sum += seconds
		}
	}
	return sum
}
