package lb

import (
	"container/list"
	"slices"
	"sync"
	"sync/atomic"
)

// Queue is where requests wait, first come first served, while every backend that could take them serves as many as it
// may. It is shared by the configurations of a pool that are alive at once, so that those who wait keep their order over
// a reload. Only the first of them is told of places; having one, it leaves and passes the word on. All methods are safe for
// concurrent use.
type Queue struct {
	length atomic.Int64

	mu   sync.Mutex
	line list.List // of *Waiter
}

// Waiter is one request in a [Queue].
type Waiter struct {
	queue   *Queue
	turn    chan struct{}
	element *list.Element
}

// Len is how many requests wait.
func (q *Queue) Len() int { return int(q.length.Load()) }

// Join lines up at the end; nil when limit requests wait already. Each Waiter has to leave.
func (q *Queue) Join(limit int) *Waiter {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.line.Len() >= limit {
		return nil
	}
	w := &Waiter{queue: q, turn: make(chan struct{}, 1)}
	w.element = q.line.PushBack(w)
	q.length.Store(int64(q.line.Len()))
	if q.line.Len() == 1 {
		w.tell() // a place may have become free since it looked
	}
	return w
}

// Turn receives when the waiter is the first and a place may be free. Whoever finds none there goes on waiting.
func (w *Waiter) Turn() <-chan struct{} { return w.turn }

// Leave takes the waiter out of the line, with a place or without, and lets the next one look.
func (w *Waiter) Leave() {
	q := w.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	first := q.line.Front() == w.element
	q.line.Remove(w.element)
	q.length.Store(int64(q.line.Len()))
	if first {
		q.tellFirst()
	}
}

// Wake tells the first in the line that a place may be free.
func (q *Queue) Wake() {
	if q.length.Load() == 0 {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.tellFirst()
}

func (q *Queue) tellFirst() {
	if first := q.line.Front(); first != nil {
		first.Value.(*Waiter).tell()
	}
}

func (w *Waiter) tell() {
	select {
	case w.turn <- struct{}{}:
	default: // it has been told and did not look yet
	}
}

// waitingQueues are the queues whose requests may wait for one backend. They are read with each released place and
// change with configurations only.
type waitingQueues struct {
	mu   sync.Mutex
	refs []queueRef
	all  atomic.Pointer[[]*Queue]
}

type queueRef struct {
	queue *Queue
	count int
}

func (s *waitingQueues) wake() {
	if all := s.all.Load(); all != nil {
		for _, q := range *all {
			q.Wake()
		}
	}
}

// add has q woken until it was removed as often as it was added.
func (s *waitingQueues) add(q *Queue) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := s.find(q); i >= 0 {
		s.refs[i].count++
		return
	}
	s.refs = append(s.refs, queueRef{q, 1})
	s.publish()
}

func (s *waitingQueues) remove(q *Queue) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.find(q)
	if i < 0 {
		return
	}
	if s.refs[i].count--; s.refs[i].count == 0 {
		s.refs = slices.Delete(s.refs, i, i+1)
		s.publish()
	}
}

func (s *waitingQueues) find(q *Queue) int {
	return slices.IndexFunc(s.refs, func(r queueRef) bool { return r.queue == q })
}

func (s *waitingQueues) publish() {
	if len(s.refs) == 0 {
		s.all.Store(nil)
		return
	}
	all := make([]*Queue, len(s.refs))
	for i, r := range s.refs {
		all[i] = r.queue
	}
	s.all.Store(&all)
}
