package proc

import (
	"fmt"
	"os/exec"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// Spawner starts children from one thread. The kernel kills a child when the thread that started it ends, which in
// Go may be long before the program does, unless a goroutine keeps it.
type Spawner struct{ work chan func() }

// NewSpawner makes a spawner, which lasts as long as the program.
func NewSpawner() *Spawner {
	s := &Spawner{work: make(chan func())}
	go func() {
		runtime.LockOSThread()
		for f := range s.work {
			f()
		}
	}()
	return s
}

// Child is a running process and what descends from it.
type Child struct {
	cmd    *exec.Cmd
	exited chan struct{}
	err    error
}

// Start runs cmd on the processors given. The child gets the signal death when this program ends, in whatever way; one
// that has children of its own needs a signal on which it ends them.
func (s *Spawner) Start(cmd *exec.Cmd, cpus []int, death syscall.Signal) (*Child, error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: death, Setpgid: true}
	started := make(chan error)
	s.work <- func() { started <- startOn(cmd, cpus) }
	if err := <-started; err != nil {
		return nil, err
	}
	c := &Child{cmd: cmd, exited: make(chan struct{})}
	go func() {
		c.err = cmd.Wait()
		close(c.exited)
	}()
	return c, nil
}

// startOn starts cmd from a thread with the affinity that it is to inherit.
func startOn(cmd *exec.Cmd, cpus []int) error {
	var set unix.CPUSet
	for _, cpu := range cpus {
		set.Set(cpu)
	}
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return fmt.Errorf("pin to processors %v: %w", cpus, err)
	}
	return cmd.Start()
}

// PID is the child's process ID.
func (c *Child) PID() int { return c.cmd.Process.Pid }

// Exited is closed when the child has ended.
func (c *Child) Exited() <-chan struct{} { return c.exited }

// Err is how the child ended. It may be called after Exited is closed.
func (c *Child) Err() error { return c.err }

// Kill ends the child with its whole process group and waits for the child.
func (c *Child) Kill() {
	_ = syscall.Kill(-c.PID(), syscall.SIGKILL)
	<-c.exited
}
