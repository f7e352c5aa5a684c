package healthcheck

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
)

// Defaults of [Config].
const (
	defaultInterval = 10 * time.Second
	defaultTimeout  = time.Second
	defaultJitter   = 0.1
)

// Kind is the name of the check's module, "tcp" for example. It is known after Provision.
func (c *Config) Kind() string { return c.kind }

// Checker is the provisioned check module; nil before Provision.
func (c *Config) Checker() Checker { return c.checker }

// Inherit lets the check connect as the pool's transport does. It has to be called before Provision.
func (c *Config) Inherit(from Inherited) { c.inherited = from }

// LogTo sets the logger; the check logs under its name and "health". It has to be called before
// Provision. Default: that of the module which is being provisioned.
func (c *Config) LogTo(logger *zap.Logger) { c.parent = logger }

// Provision fills in the defaults, validates the options and loads the check module. It starts nothing.
func (c *Config) Provision(ctx caddy.Context) error {
	c.setDefaults()
	if err := c.validate(); err != nil {
		return err
	}
	if err := c.identify(); err != nil {
		return err
	}
	parent := c.parent
	if parent == nil {
		parent = ctx.Logger()
	}
	c.logger = parent.Named("health").With(zapCheck(c.kind))

	module, err := ctx.LoadModule(c, "CheckRaw")
	if err != nil {
		return fmt.Errorf("loading health check %s: %w", c.kind, err)
	}
	checker, ok := module.(Checker)
	if !ok {
		return fmt.Errorf("module %s.%s is a %T, which is no health check: it lacks Check(context.Context, healthcheck.Target) error", Namespace, c.kind, module)
	}
	if h, ok := module.(Inheritor); ok {
		h.Inherit(c.inherited)
	}
	c.checker = checker
	return nil
}

func (c *Config) setDefaults() {
	if c.Interval == 0 {
		c.Interval = caddy.Duration(defaultInterval)
	}
	if c.IntervalUnhealthy == 0 {
		c.IntervalUnhealthy = c.Interval
	}
	if c.Timeout == 0 {
		c.Timeout = caddy.Duration(defaultTimeout)
	}
	if c.ConsecutiveSuccess == 0 {
		c.ConsecutiveSuccess = 1
	}
	if c.ConsecutiveFailure == 0 {
		c.ConsecutiveFailure = 1
	}
	if c.Jitter == 0 {
		c.Jitter = defaultJitter
	}
	if c.Initial == "" {
		c.Initial = InitialHealthy
	}
}

// validate checks the options once the defaults stand. A timeout longer than the interval is fine, since a
// check never overlaps itself.
func (c *Config) validate() error {
	for _, d := range []struct {
		name  string
		value caddy.Duration
	}{
		{"interval", c.Interval}, {"interval_unhealthy", c.IntervalUnhealthy}, {"timeout", c.Timeout},
	} {
		if d.value < 0 {
			return fmt.Errorf("health check: %s is %s, but has to be longer than 0, 5s for example", d.name, time.Duration(d.value))
		}
	}
	if c.ConsecutiveSuccess < 1 {
		return fmt.Errorf("health check: consecutive_success is %d, but has to be 1 or more", c.ConsecutiveSuccess)
	}
	if c.ConsecutiveFailure < 1 {
		return fmt.Errorf("health check: consecutive_failure is %d, but has to be 1 or more", c.ConsecutiveFailure)
	}
	if c.Port < 0 || c.Port > 65535 {
		return fmt.Errorf("health check: port is %d, but has to be from 1 to 65535", c.Port)
	}
	if !(c.Jitter <= 1) {
		return fmt.Errorf("health check: jitter is %v, but has to be from 0 to 1, 0.1 for example, or negative for none", c.Jitter)
	}
	switch c.Initial {
	case InitialHealthy, InitialUnhealthy, InitialCheck:
		return nil
	}
	return fmt.Errorf("health check: initial is %q, but has to be %s, %s or %s", c.Initial, InitialHealthy, InitialUnhealthy, InitialCheck)
}

// identify works out what the check is known by: two configurations whose JSON differs in order, space or a
// default spelled out are the same check.
func (c *Config) identify() error {
	var head struct {
		Kind string `json:"kind"`
	}
	if len(c.CheckRaw) == 0 || json.Unmarshal(c.CheckRaw, &head) != nil || head.Kind == "" {
		return errors.New(`health check: no kind is given; write {"check": {"kind": "tcp"}} for example, with one of: ` + strings.Join(kinds(), ", "))
	}
	module, err := canonicalJSON(c.CheckRaw)
	if err != nil {
		return fmt.Errorf("health check %s: %w", head.Kind, err)
	}
	c.CheckRaw = module
	whole, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("health check %s: %w", head.Kind, err)
	}
	c.kind = head.Kind
	c.module = string(module)
	c.key = string(whole) + "\x00" + c.inherited.Key
	return nil
}

// canonicalJSON returns raw with its keys sorted and without insignificant space; numbers keep their digits.
func canonicalJSON(raw []byte) ([]byte, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, err
	}
	return json.Marshal(v)
}

// kinds lists the checks that are built in and registered, in alphabetical order.
func kinds() []string {
	var names []string
	for _, m := range caddy.GetModules(Namespace) {
		names = append(names, m.ID.Name())
	}
	return names
}

// Times returns how often the check is made, and how long an answer is waited for, with their
// defaults.
func (c *Config) Times() (interval, timeout time.Duration) {
	return cmp.Or(time.Duration(c.Interval), defaultInterval), cmp.Or(time.Duration(c.Timeout), defaultTimeout)
}
