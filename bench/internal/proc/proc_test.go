package proc

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// start runs a shell that has a child of its own and says so.
func start(t *testing.T, script string) *Child {
	t.Helper()
	cmd := exec.Command("sh", "-c", script)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c, err := NewSpawner().Start(cmd, []int{0}, syscall.SIGKILL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Kill)
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatalf("got %q, %v", line, err)
	}
	return c
}

func TestTreeAndKill(t *testing.T) {
	c := start(t, "sleep 60 & echo ready; wait")
	tree := Tree(c.PID())
	if len(tree) != 2 || tree[0] != c.PID() {
		t.Fatalf("the tree of %d is %v", c.PID(), tree)
	}
	now, peak, err := Memory(tree)
	if err != nil || now <= 0 || peak < now {
		t.Fatalf("memory %d, peak %d, error %v", now, peak, err)
	}
	c.Kill()
	// A killed process ends in its own time, and nobody may have waited for it; a zombie has no memory.
	alive := func() bool {
		now, _, err := Memory(tree[1:])
		return syscall.Kill(tree[1], 0) == nil && err == nil && now > 0
	}
	for deadline := time.Now().Add(10 * time.Second); alive(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the child's child lives")
		}
	}
	if _, err := CPU(tree[:1]); err == nil {
		t.Fatal("a process that ended has CPU time")
	}
}

func TestPinned(t *testing.T) {
	c := start(t, "echo ready; sleep 60")
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.PID()))
	if err != nil || !strings.Contains(string(status), "Cpus_allowed_list:\t0\n") {
		t.Fatalf("the child is not pinned: %v\n%s", err, status)
	}
}

func TestBusy(t *testing.T) {
	one, err := Busy([]int{0})
	if err != nil || one <= 0 {
		t.Fatalf("got %v, %v", one, err)
	}
	if _, err := Busy([]int{0, 4096}); err == nil {
		t.Fatal("a processor that is not there was busy")
	}
}

func TestBusyTicks(t *testing.T) {
	fields := bytes.Fields([]byte("1 2 4 1000 1000 8 16 32 1000 1000"))
	if got := busy(fields); got != 63*10*time.Millisecond {
		t.Fatalf("got %v", got)
	}
}

func TestCPUTimeOfAnother(t *testing.T) {
	c := start(t, "echo ready; while :; do :; done")
	tree := Tree(c.PID())
	var last time.Duration
	for deadline := time.Now().Add(10 * time.Second); last < 50*time.Millisecond; {
		got, err := CPU(tree)
		if err != nil || got < last {
			t.Fatalf("%v after %v, error %v", got, last, err)
		}
		if last = got; time.Now().After(deadline) {
			t.Fatalf("a busy loop has used %v", got)
		}
	}
}
