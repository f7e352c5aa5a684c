package lbproxy

import (
	"errors"
	"testing"

	"github.com/caddylb/caddy-lb/lb"
)

// never is a condition that does not hold.
type never struct{}

func (never) Healthy() bool { return false }

// A backend that comes and goes is told of once in a while, unless it stays away.
func TestOutagesAreToldSeldom(t *testing.T) {
	refused, answered := &try{Cause: causeConnect, Err: errors.New("refused")}, &try{Status: 200}
	var r reach
	if r.observe(answered) || !r.observe(refused) || r.observe(refused) {
		t.Fatal("the first failure, and no other, is due")
	}
	r.outage.Load().told.Store(true)
	if !r.observe(answered) || r.observe(answered) {
		t.Error("the first answer, and no other, is due")
	}
	for range 100 {
		if r.observe(refused) || r.observe(answered) {
			t.Fatal("one more is due within the same time")
		}
	}
	r.observe(refused)
	r.next.Store(int64(lb.Monotonic())) // the time is over
	if !r.observe(refused) || r.observe(refused) {
		t.Error("it is due once when it lasts")
	}
}

// An outage that is not told for now does not hide that checks take the backend out.
func TestOutageDoesNotHideChecks(t *testing.T) {
	e := &entry{stats: new(stats)}
	m := &lb.Member{Conditions: []lb.Condition{never{}}}
	if now, _ := e.standing(m); now != standingDown {
		t.Errorf("standing %d without an outage", now)
	}
	refused := &try{Cause: causeConnect, Err: errors.New("refused")}
	e.stats.reach.observe(refused)
	if now, _ := e.standing(m); now != standingUnreachable {
		t.Errorf("standing %d with an outage that is told", now)
	}
	e.stats.reach.observe(&try{Status: 200})
	e.stats.reach.observe(refused)
	if now, _ := e.standing(m); now != standingDown {
		t.Errorf("standing %d with an outage that is not told", now)
	}
}

// Looking at a try costs nothing while nothing fails.
func TestReachDoesNotAllocate(t *testing.T) {
	var r reach
	answered := &try{Status: 200}
	if n := testing.AllocsPerRun(100, func() { r.observe(answered) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
