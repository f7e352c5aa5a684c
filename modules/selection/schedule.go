package selection

import "slices"

// schedule lays out one cycle of smooth weighted round robin: member i stands in it weights[i] times. Weights
// are above 0. Repeated for ever, the cycle has these properties, at its seam too:
//
//   - no member follows itself when none is heavier than all others together;
//   - a heavier one, of weight w among a total of W, runs at most ceil(w / (W-w)) times in a row.
//
// Turns are spread by earliest deadline. It takes O(total × log members).
func schedule(weights []uint64) []uint16 {
	var total uint64
	heaviest := 0
	for i, w := range weights {
		total += w
		if w > weights[heaviest] {
			heaviest = i
		}
	}
	if w := weights[heaviest]; w > total-w {
		return dominated(weights, heaviest, total-w)
	}
	return alternating(weights, total)
}

// dominated lays out a cycle in which one member is heavier than the rest together: the rest in order of
// deadline, the heavy one spread evenly over the gaps between them.
func dominated(weights []uint64, heavy int, rest uint64) []uint16 {
	w := weights[heavy]
	cycle := make([]uint16, 0, w+rest)
	others := slices.Clone(weights)
	others = slices.Delete(others, heavy, heavy+1)
	d := newDeadlines(others, 1)

	var placed uint64
	for gap := range max(rest, 1) {
		for upTo := w * (gap + 1) / max(rest, 1); placed < upTo; placed++ {
			cycle = append(cycle, uint16(heavy))
		}
		if rest == 0 {
			break
		}
		i := d.next()
		if i >= heavy {
			i++
		}
		cycle = append(cycle, uint16(i))
	}
	return cycle
}

// alternating lays out a cycle in which no member follows itself. No member weighs more than half of total.
//
// It goes by earliest deadline and leaves out the member placed last. A member is placed ahead of its turn
// when it has to be: when it could otherwise not be fitted into the places left without following itself, or
// without standing at the end if it stands at the start. At most one member can be in that position.
func alternating(weights []uint64, total uint64) []uint16 {
	a := alternation{
		deadlines: newDeadlines(weights, 1),
		left:      slices.Clone(weights),
		cycle:     make([]uint16, 0, total),
		places:    total,
		watched:   total,
	}
	a.first = a.pop().member
	a.place(a.first)
	for a.places > 0 {
		last := a.last
		if c, forced := a.forced(); forced {
			a.place(c)
		} else {
			a.place(a.earliest())
		}
		if a.left[last] > 0 {
			a.push(turn{half: a.turnOf(last), member: last})
		}
	}
	return a.cycle
}

// alternation is a cycle that [alternating] is laying out. The heap holds every member with turns left except
// the one placed last; entries of members that were placed ahead of their turn are out of date and dropped.
type alternation struct {
	*deadlines
	left   []uint64 // turns each member has left
	cycle  []uint16
	places uint64 // places left in the cycle
	first  int
	last   int

	watch   []int  // the members that can be forced
	watched uint64 // while places is at least this
}

func (a *alternation) place(member int) {
	a.cycle = append(a.cycle, uint16(member))
	a.left[member]--
	a.places--
	a.last = member
}

// turnOf is when the member's next turn is due, in the unit of [turn].
func (a *alternation) turnOf(member int) uint64 { return 2*(a.weights[member]-a.left[member]) + 1 }

// earliest takes the member with the earliest deadline.
func (a *alternation) earliest() int {
	for {
		t := a.pop()
		if t.member != a.last && a.left[t.member] > 0 && t.half == a.turnOf(t.member) {
			return t.member
		}
	}
}

// forced returns the member that has to be placed now, if there is one: of n places left, one that is not
// taken now can take every second of the n-1 others, and the first member not the last of them.
func (a *alternation) forced() (int, bool) {
	if a.places < a.watched {
		a.rewatch()
	}
	for _, i := range a.watch {
		room := a.places / 2
		if i == a.first {
			room = (a.places - 1) / 2
		}
		if a.left[i] > room {
			return i, true
		}
	}
	return 0, false
}

// rewatch lists the members with so many turns left that they can be forced before the places left have gone
// down to half.
func (a *alternation) rewatch() {
	a.watch = a.watch[:0]
	for i, left := range a.left {
		if left > 0 && 4*left+4 >= a.places {
			a.watch = append(a.watch, i)
		}
	}
	a.watched = a.places/2 + 1
}
