package module

import (
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// Unknown is the error for the option that d stands on, which block does not have. names are the
// options that it has: the error names the one that was probably meant, or all of them.
func Unknown(d *caddyfile.Dispenser, block string, names ...string) error {
	return d.Errf("unrecognized option of %s: %s: %s", block, d.Val(), Suggest(d.Val(), names...))
}

// Suggest says which of names to write instead of word: the one that was probably meant, or all of
// them.
func Suggest(word string, names ...string) string {
	if guess := Closest(word, names...); guess != "" {
		return "did you mean " + guess + "?"
	}
	switch len(names) {
	case 0:
		return "it takes none"
	case 1:
		return "there is only " + names[0]
	}
	return "there are " + strings.Join(names, ", ")
}

// Closest is the name that word was probably meant to be; empty if it is like none of them.
func Closest(word string, names ...string) string {
	word = strings.ToLower(word)
	best, distance := "", len(word)/3+1
	for _, name := range names {
		if d := editDistance(word, strings.ToLower(name), distance); d < distance {
			best, distance = name, d
		}
	}
	return best
}

// editDistance is how many letters have to be added, removed, replaced or swapped with their
// neighbor to make b of a (optimal string alignment). It stops at limit.
func editDistance(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	var before []int
	row, next := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		next[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			next[j] = min(row[j]+1, next[j-1]+1, row[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				next[j] = min(next[j], before[j-2]+1)
			}
		}
		before, row, next = slices.Clone(row), next, row
	}
	return min(row[len(b)], limit)
}

// Distance is how many letters have to change to make b of a.
func Distance(a, b string) int { return editDistance(a, b, len(a)+len(b)+1) }
