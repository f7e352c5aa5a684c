package lb

// Health is the state machine of one check on one backend. It flips after a number of results in a row that
// contradict it; a result that agrees clears the count, so "consecutive" means consecutive (as in Pingora and
// HAProxy).
//
// It is a plain value; its owner guards it.
type Health struct {
	// Up is the state.
	Up bool

	// Streak counts the latest results in a row that contradict Up.
	Streak int
}

// Observe takes one result. rise is how many passes bring a backend up, fall how many failures take it down;
// both count as 1 when smaller. It reports whether the state flipped.
func (h *Health) Observe(pass bool, rise, fall int) (flipped bool) {
	if pass == h.Up {
		h.Streak = 0
		return false
	}
	h.Streak++
	need := fall
	if pass {
		need = rise
	}
	if h.Streak < need {
		return false
	}
	h.Up, h.Streak = pass, 0
	return true
}
