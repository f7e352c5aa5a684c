// Package adaptation is what the directives and options of one Caddyfile tell each other and the
// user while it is adapted: warnings, and what only the whole of the file shows. It also keeps the
// places of things in the file, which have no room in the JSON.
package adaptation

import (
	"reflect"
	"runtime"
	"slices"
	"sync"
	"weak"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"go.uber.org/zap"
)

// Adaptation is one run of the Caddyfile adapter. It belongs to the goroutine that runs it.
type Adaptation struct {
	// list is what the adapter returns beside the JSON. Caddy's Helper has it but does not export
	// it; it is nil if a version of Caddy has none.
	list *[]caddyconfig.Warning

	values map[string]any
}

// running has the values of adaptations, by their lists. An entry goes with the list.
var running = struct {
	sync.Mutex
	values map[weak.Pointer[[]caddyconfig.Warning]]map[string]any
}{values: make(map[weak.Pointer[[]caddyconfig.Warning]]map[string]any)}

// Of returns the adaptation that h belongs to.
func Of(h httpcaddyfile.Helper) *Adaptation {
	a := &Adaptation{list: warningsOf(h)}
	if a.list == nil {
		a.values = make(map[string]any)
		return a
	}
	key := weak.Make(a.list)
	running.Lock()
	defer running.Unlock()
	values, known := running.values[key]
	if !known {
		values = make(map[string]any)
		running.values[key] = values
		runtime.AddCleanup(a.list, func(key weak.Pointer[[]caddyconfig.Warning]) {
			running.Lock()
			defer running.Unlock()
			delete(running.values, key)
		}, key)
	}
	a.values = values
	return a
}

// Whole reports whether warnings can be taken back, so that one may be given before all of the file
// was seen.
func (a *Adaptation) Whole() bool { return a.list != nil }

// Value returns what the adaptation has under a key, which fresh makes when it has nothing.
func Value[T any](a *Adaptation, key string, fresh func() T) T {
	if v, ok := a.values[key].(T); ok {
		return v
	}
	v := fresh()
	a.values[key] = v
	return v
}

// Warn adds a warning to what the adapter returns. One that is there already, as of a snippet that
// is imported twice, is not added again.
func (a *Adaptation) Warn(w caddyconfig.Warning) {
	if a.list != nil && slices.Contains(*a.list, w) {
		return
	}
	told.add(w.Message)
	if a.list == nil {
		caddy.Log().Named("config.adapter.caddyfile").Warn(w.Message, zap.String("file", w.File), zap.Int("line", w.Line))
		return
	}
	*a.list = append(*a.list, w)
}

// Retract takes a warning back.
func (a *Adaptation) Retract(w caddyconfig.Warning) {
	if a.list == nil {
		return
	}
	if i := slices.Index(*a.list, w); i >= 0 {
		told.remove(w.Message)
		*a.list = slices.Delete(*a.list, i, i+1)
	}
}

// warningsOf reads the unexported list of h.
func warningsOf(h httpcaddyfile.Helper) *[]caddyconfig.Warning {
	field := reflect.ValueOf(h).FieldByName("warnings")
	if !field.IsValid() || field.Type() != reflect.TypeFor[*[]caddyconfig.Warning]() || field.IsNil() {
		return nil
	}
	return (*[]caddyconfig.Warning)(field.UnsafePointer())
}

// Block identifies the block of directives that h is in: a site, or a block within one. It is nil
// if a version of Caddy does not show it.
func Block(h httpcaddyfile.Helper) any {
	// Each block has a map of named matchers of its own.
	field := reflect.ValueOf(h).FieldByName("matcherDefs")
	if !field.IsValid() || field.Kind() != reflect.Map || field.IsNil() {
		return nil
	}
	return field.UnsafePointer()
}
