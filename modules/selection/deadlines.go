package selection

// deadlines orders the turns of weighted members by earliest deadline first: the k-th turn of a member of
// weight w is due at (k + offset) / w, so that turns of each member are spread evenly over any stretch. It is a
// binary heap of one entry a member; ties go to the lower index.
type deadlines struct {
	weights []uint64
	heap    []turn
}

// turn is the next turn of a member, due at half / (2 × weight).
type turn struct {
	half   uint64
	member int
}

// newDeadlines starts with the first turn of each member due at start / (2 × weight): 0 gives each member
// a turn before any has two, 1 puts turns in the middle of their share of the time.
func newDeadlines(weights []uint64, start uint64) *deadlines {
	d := &deadlines{weights: weights, heap: make([]turn, 0, len(weights))}
	for i := range weights {
		d.push(turn{half: start, member: i})
	}
	return d
}

// next returns whose turn it is and schedules that member's following turn.
func (d *deadlines) next() int {
	t := d.heap[0]
	d.heap[0].half += 2
	d.down(0)
	return t.member
}

func (d *deadlines) before(a, b turn) bool {
	x, y := a.half*d.weights[b.member], b.half*d.weights[a.member]
	if x != y {
		return x < y
	}
	return a.member < b.member
}

func (d *deadlines) push(t turn) {
	d.heap = append(d.heap, t)
	i := len(d.heap) - 1
	for i > 0 {
		parent := (i - 1) / 2
		if !d.before(d.heap[i], d.heap[parent]) {
			return
		}
		d.heap[i], d.heap[parent] = d.heap[parent], d.heap[i]
		i = parent
	}
}

func (d *deadlines) pop() turn {
	top, last := d.heap[0], len(d.heap)-1
	d.heap[0] = d.heap[last]
	d.heap = d.heap[:last]
	d.down(0)
	return top
}

func (d *deadlines) down(i int) {
	for {
		least := i
		for _, child := range [2]int{2*i + 1, 2*i + 2} {
			if child < len(d.heap) && d.before(d.heap[child], d.heap[least]) {
				least = child
			}
		}
		if least == i {
			return
		}
		d.heap[i], d.heap[least] = d.heap[least], d.heap[i]
		i = least
	}
}
