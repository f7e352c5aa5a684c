package lbproxy

import (
	"maps"
	"reflect"
	"slices"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// found is a pool's handler and where it stands.
type found struct {
	handler *Handler
	at      place
	invoked bool // reached through a named route, whose own place it is not

	// behind is the label of the handler that takes every request before this one gets it; empty if
	// none does.
	behind string
}

// findHandlers walks the routes of all servers and returns the handlers of this suite, in the order
// in which they stand there. Servers and named routes come in the order of their names.
func findHandlers(app *caddyhttp.App) []found {
	w := new(walker)
	for _, name := range slices.Sorted(maps.Keys(app.Servers)) {
		w.server(app.Servers[name])
	}
	return w.found
}

// walker walks the provisioned routes of servers.
type walker struct {
	found   []found
	at      place
	invoked []string // named routes on the way
	taken   string   // the label of the handler before, if it takes every request
	inside  []any    // pointers on the way, which must not lead back
	depth   int
}

// maxDepth bounds how deep routes and what holds them are followed.
const maxDepth = 64

func (w *walker) server(s *caddyhttp.Server) {
	if s == nil {
		return
	}
	w.at = place{server: s}
	w.apart(func() { w.routes(s.Routes) })
	w.errors(s.Errors)
	for _, name := range slices.Sorted(maps.Keys(s.NamedRoutes)) {
		if route := s.NamedRoutes[name]; route != nil {
			w.within(step{holder: "&" + name}, func() { w.apart(func() { w.route(route) }) })
		}
	}
}

func (w *walker) errors(config *caddyhttp.HTTPErrorConfig) {
	if config != nil {
		w.within(step{holder: "errors"}, func() { w.apart(func() { w.routes(config.Routes) }) })
	}
}

// apart walks what gets requests whatever takes those before it, and keeps none from what comes
// after it.
func (w *walker) apart(walk func()) {
	before := w.taken
	w.taken = ""
	walk()
	w.taken = before
}

// within walks on behind a step.
func (w *walker) within(s step, walk func()) {
	if w.depth >= maxDepth {
		return
	}
	before := w.at
	w.at = before.in(s)
	w.depth++
	walk()
	w.depth--
	w.at = before
}

func (w *walker) routes(routes []caddyhttp.Route) {
	grouped := make(map[string]bool)
	for i := range routes {
		r, before := &routes[i], w.taken
		w.route(r)
		// Only the first matching route of a group runs.
		if len(r.MatcherSets) > 0 || grouped[r.Group] {
			w.taken = before
		}
		grouped[r.Group] = r.Group != ""
	}
}

func (w *walker) route(r *caddyhttp.Route) {
	w.within(routeStep(r), func() {
		for _, h := range r.Handlers {
			w.handler(h)
		}
	})
}

func (w *walker) handler(h caddyhttp.MiddlewareHandler) {
	switch h := h.(type) {
	case nil:
	case *caddyhttp.Subroute:
		if h == nil {
			return
		}
		w.routes(h.Routes)
		w.errors(h.Errors)
	case *caddyhttp.Invoke:
		w.invoke(h.Name)
	case *Handler:
		w.found = append(w.found, found{handler: h, at: w.at, invoked: len(w.invoked) > 0, behind: w.taken})
		w.within(step{holder: "handle_response"}, func() { w.value(reflect.ValueOf(h.HandleResponse)) })
		for _, f := range h.filterModules {
			w.within(step{holder: holderName(f)}, func() { w.value(reflect.ValueOf(f)) })
		}
	default:
		w.within(step{holder: holderName(h)}, func() { w.value(reflect.ValueOf(h)) })
	}
	if w.taken == "" {
		w.taken = takerLabel(h)
	}
}

// invoke walks a named route for those who use it from here. It may invoke itself.
func (w *walker) invoke(name string) {
	if w.at.server == nil || slices.Contains(w.invoked, name) {
		return
	}
	if route := w.at.server.NamedRoutes[name]; route != nil {
		w.invoked = append(w.invoked, name)
		w.apart(func() { w.route(route) })
		w.invoked = w.invoked[:len(w.invoked)-1]
	}
}

// holderName is the name of a module that holds routes.
func holderName(h any) string {
	if m, ok := h.(caddy.Module); ok {
		return m.CaddyModule().ID.Name()
	}
	return reflect.TypeOf(h).String()
}

var (
	routeType           = reflect.TypeFor[caddyhttp.Route]()
	routesType          = reflect.TypeFor[[]caddyhttp.Route]()
	responseHandlerType = reflect.TypeFor[caddyhttp.ResponseHandler]()
	handlerType         = reflect.TypeFor[caddyhttp.MiddlewareHandler]()
)

// value looks for routes in what handlers of others have in exported fields.
func (w *walker) value(v reflect.Value) {
	if !v.IsValid() || w.depth >= maxDepth || !holdsRoutes(v.Type()) {
		return
	}
	w.depth++
	defer func() { w.depth-- }()
	switch v.Kind() {
	case reflect.Pointer:
		if p := v.Interface(); !v.IsNil() && !slices.Contains(w.inside, p) {
			w.inside = append(w.inside, p)
			w.value(v.Elem())
			w.inside = w.inside[:len(w.inside)-1]
		}
	case reflect.Interface:
		if h, ok := v.Interface().(caddyhttp.MiddlewareHandler); ok {
			w.apart(func() { w.handler(h) })
		}
	case reflect.Slice, reflect.Array:
		if v.CanConvert(routesType) {
			w.apart(func() { w.routes(v.Convert(routesType).Interface().([]caddyhttp.Route)) })
			return
		}
		for i := range v.Len() {
			w.value(v.Index(i))
		}
	case reflect.Map:
		for _, key := range sortedKeys(v) {
			w.value(v.MapIndex(key))
		}
	case reflect.Struct:
		w.fields(v)
	}
}

func (w *walker) fields(v reflect.Value) {
	switch v.Type() {
	case routeType:
		r := v.Interface().(caddyhttp.Route)
		w.apart(func() { w.route(&r) })
	case responseHandlerType:
		rh := v.Interface().(caddyhttp.ResponseHandler)
		condition := matcherText(string(textOf(rh.Match)))
		w.within(step{sets: []map[string]matcherText{{"response": condition}}}, func() { w.apart(func() { w.routes(rh.Routes) }) })
	default:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				w.value(v.Field(i))
			}
		}
	}
}

// sortedKeys are the keys of a map in an order that is always the same.
func sortedKeys(m reflect.Value) []reflect.Value {
	return slices.SortedFunc(slices.Values(m.MapKeys()), func(a, b reflect.Value) int {
		switch {
		case a.Kind() != reflect.String || a.String() == b.String():
			return 0
		case a.String() < b.String():
			return -1
		}
		return 1
	})
}

// holders remembers for types whether values of them may hold routes in exported fields.
var holders sync.Map

// holdsRoutes reports whether a value of the type may lead to routes.
func holdsRoutes(t reflect.Type) bool {
	if known, ok := holders.Load(t); ok {
		return known.(bool)
	}
	holds := leadsToRoutes(t, make(map[reflect.Type]bool))
	holders.Store(t, holds)
	return holds
}

func leadsToRoutes(t reflect.Type, seen map[reflect.Type]bool) bool {
	if t == routeType || t == handlerType {
		return true
	}
	if seen[t] {
		return false
	}
	seen[t] = true
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		return leadsToRoutes(t.Elem(), seen)
	case reflect.Struct:
		for i := range t.NumField() {
			if f := t.Field(i); f.IsExported() && leadsToRoutes(f.Type, seen) {
				return true
			}
		}
	}
	return false
}
