package lbproxy

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/caddylb/caddy-lb/lb"
	"github.com/caddylb/caddy-lb/modules/filter"
)

// option is what the rest of the package has to know of an option of a handler or of its pool. The
// zero value is for options that go with all others.
type option struct {
	// ofRequests says that an option of a pool may differ among the handlers of a pool. Any other
	// is an error in a handler that names its pool.
	ofRequests bool

	// edits reports whether the option changes requests on their way to a backend, or has them
	// looked at as they are sent. The engine can otherwise write them from the client's request.
	edits func(*Handler) bool

	// hedging says why requests cannot be given to two backends at once; nil if they can.
	hedging func(*hedgeSetting) error
}

// hedgeSetting is what options are asked about when a handler hedges.
type hedgeSetting struct {
	filters    *filter.Chain
	policy     lb.Policy
	policyName string
	transport  func() error
}

// options declares the options of [PoolConfig], [LoadBalancing] and [Handler] by their fields. A
// field that is missing here fails a test.
var options = map[string]option{
	"Upstreams":           {},
	"HealthChecks":        {},
	"DynamicUpstreamsRaw": {},
	"CircuitBreakerRaw":   {},
	"UpdateFrequency":     {},
	"Resolvers":           {},
	"TransportRaw":        {ofRequests: true, hedging: func(s *hedgeSetting) error { return s.transport() }},

	"LoadBalancing.SelectionPolicyRaw": {hedging: func(s *hedgeSetting) error {
		if sticky, ok := s.policy.(stickyPolicy); ok && sticky.KeepsClients() {
			return fmt.Errorf("lb_policy %s keeps clients on backends, and hedging would ask another one: leave one of both out", s.policyName)
		}
		return nil
	}},
	"LoadBalancing.PanicThreshold":      {},
	"LoadBalancing.Overprovisioning":    {},
	"LoadBalancing.SlowStart":           {},
	"LoadBalancing.Queue":               {},
	"LoadBalancing.Limits":              {},
	"LoadBalancing.AdaptiveConcurrency": {},
	"LoadBalancing.DrainIdle":           {},
	"LoadBalancing.Retries":             {ofRequests: true},
	"LoadBalancing.TryDuration":         {ofRequests: true},
	"LoadBalancing.TryInterval":         {ofRequests: true},
	"LoadBalancing.RetryOn":             {ofRequests: true},
	"LoadBalancing.RetryBackoff":        {ofRequests: true},
	"LoadBalancing.TryTimeout":          {ofRequests: true},
	"LoadBalancing.RetryBudget":         {ofRequests: true},
	"LoadBalancing.RetryMatchRaw": {ofRequests: true, edits: func(h *Handler) bool {
		return len(h.retry.onAnswer) > 0 || len(h.retry.onFailure) > 0
	}},

	"PoolName":         {},
	"FlushInterval":    {},
	"TrustedProxies":   {},
	"RequestBuffers":   {},
	"ResponseBuffers":  {},
	"ProxyStatusName":  {},
	"StreamTimeout":    {},
	"StreamBufferSize": {},
	"StreamCloseDelay": {},
	"HandleResponse":   {},
	"Mirrors":          {},
	"VerboseLogs":      {},
	"FilterTimeout":    {},
	"Headers":          {edits: func(h *Handler) bool { return h.Headers != nil && h.Headers.Request != nil }},
	"Rewrite":          {edits: func(h *Handler) bool { return h.Rewrite != nil }},
	"Hedge":            {edits: func(h *Handler) bool { return h.hedging != nil }},
	"FiltersRaw": {
		edits: func(h *Handler) bool { return h.filters.ChangesUpstreamRequest() },
		hedging: func(s *hedgeSetting) error {
			if name := s.filters.WatchesTries(); name != "" {
				return fmt.Errorf("the filter %s looks at single tries, of which there would be two at once: move hedge to a handler without it", name)
			}
			return nil
		},
	},
}

// mayBePlain reports whether nothing of the configuration changes requests or looks at them as they
// are sent.
func (h *Handler) mayBePlain() bool {
	for _, o := range options {
		if o.edits != nil && o.edits(h) {
			return false
		}
	}
	return true
}

// hedgeObstacle says why an option does not go with hedging; nil if all do.
func hedgeObstacle(s *hedgeSetting) error {
	for _, name := range slices.Sorted(maps.Keys(options)) {
		if check := options[name].hedging; check != nil {
			if err := check(s); err != nil {
				return err
			}
		}
	}
	return nil
}

// ownedOption is the name of an option that is set and says how a pool works; empty if there is
// none. Retries and the transport may differ among the handlers of a pool.
func (c *PoolConfig) ownedOption() string {
	if name := setOption("", reflect.ValueOf(c).Elem()); name != "" {
		return name
	}
	if c.LoadBalancing == nil {
		return ""
	}
	return setOption("LoadBalancing.", reflect.ValueOf(c.LoadBalancing).Elem())
}

// setOption is the JSON name of a field that is set and is not of single requests.
func setOption(prefix string, config reflect.Value) string {
	for field, value := range config.Fields() {
		name := optionName(field)
		if name != "" && field.Name != "LoadBalancing" && !value.IsZero() && !options[prefix+field.Name].ofRequests {
			return name
		}
	}
	return ""
}

// optionName is the name of a field in JSON; empty if it has none.
func optionName(field reflect.StructField) string {
	name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
	return strings.TrimPrefix(name, "-")
}
