package lbproxy

import (
	"encoding/json"
	"maps"
	"slices"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/caddylb/caddy-lb/internal/adaptation"
)

// poolKey is what a pool is known by from its place in a Caddyfile to its load.
type poolKey struct {
	Name      string
	Upstreams []*Upstream
}

// poolNote is what was seen of a pool while its block was read.
type poolNote struct {
	place    caddyconfig.Warning            // without text
	warnings []caddyconfig.Warning          // to be told
	words    map[string]caddyconfig.Warning // addresses that are one word, without text
}

// wholeFile is what the handlers of one Caddyfile have in common.
type wholeFile struct {
	pools  map[string]*PoolConfig
	unused map[string]caddyconfig.Warning // warnings that are given now
	taken  map[any]string                 // by blocks, the label of the handler that takes every request
}

func wholeFileOf(helper httpcaddyfile.Helper) (*adaptation.Adaptation, *wholeFile) {
	a := adaptation.Of(helper)
	return a, adaptation.Value(a, "lb_proxy", func() *wholeFile { return newWholeFile(a, helper.Option("lb_pool")) })
}

// tellMistakes gives the adapter's user the warnings about the handler and its pool. h is complete.
func (h *Handler) tellMistakes(helper httpcaddyfile.Helper) {
	a, file := wholeFileOf(helper)
	for _, w := range h.warnings {
		a.Warn(w)
	}
	file.tellWords(a, h.words, "")
	for name := range file.pools {
		if h.usesPool(name) {
			a.Retract(file.unused[name])
			delete(file.unused, name)
		}
	}
}

// newWholeFile tells what is to be told of the pools. All of them count as unused until a handler
// names them.
func newWholeFile(a *adaptation.Adaptation, option any) *wholeFile {
	f := &wholeFile{
		pools: definedPools(option), unused: make(map[string]caddyconfig.Warning), taken: make(map[any]string),
	}
	for _, name := range slices.Sorted(maps.Keys(f.pools)) {
		note, _ := adaptation.Noted[poolNote](poolKey{name, f.pools[name].Upstreams})
		for _, w := range note.warnings {
			a.Warn(w)
		}
		f.tellWords(a, note.words, name)
		if a.Whole() {
			w := note.place
			w.Message = unusedText(name)
			f.unused[name] = w
			a.Warn(w)
		}
	}
	return f
}

// tellWords warns of addresses that are names of pools, in the order of the names. own is the pool
// whose addresses they are.
func (f *wholeFile) tellWords(a *adaptation.Adaptation, words map[string]caddyconfig.Warning, own string) {
	for _, word := range slices.Sorted(maps.Keys(words)) {
		if word != own && f.pools[word] != nil {
			w := words[word]
			w.Message = poolAsAddressText(word)
			a.Warn(w)
		}
	}
}

// usesPool reports whether requests of the handler may go to the named pool.
func (h *Handler) usesPool(name string) bool {
	return h.PoolName == name ||
		slices.ContainsFunc(h.Mirrors, func(m *Mirror) bool { return m.Pool == name }) ||
		slices.ContainsFunc(slices.Concat(h.FiltersRaw, h.filtersText), func(raw json.RawMessage) bool { return namesPool(raw, name) })
}

// takesEvery reports whether the handler ends each request that gets to it. Routes for answers may
// go on.
func (h *Handler) takesEvery() bool {
	for _, rh := range h.HandleResponse {
		if rh.StatusCode == "" {
			return false
		}
	}
	return true
}

// warnUnreachable warns of a handler that another one of the same block keeps all requests from.
// Both have no matcher; the adapter sorts those with one to the front, unless they stand in a route
// block.
func (h *Handler) warnUnreachable(helper httpcaddyfile.Helper, directive *caddyfile.Dispenser, every bool) {
	block := adaptation.Block(helper)
	if block == nil || !every {
		return
	}
	a, file := wholeFileOf(helper)
	before, taken := file.taken[block]
	switch {
	case taken:
		w := placeOf(directive)
		w.Message = unreachableText(h.label(), before)
		a.Warn(w)
	case h.takesEvery():
		file.taken[block] = h.label()
	}
}

// collect makes warnings of what is surely not meant in a pool. d stands on what the pool began
// with.
func (p *poolParser) collect(d *caddyfile.Dispenser, label string) {
	for _, m := range p.config.mistakes() {
		w, ok := p.places[m.option]
		if !ok {
			w = placeOf(d)
		}
		w.Message = label + ": " + m.text
		p.warnings = append(p.warnings, w)
	}
}
