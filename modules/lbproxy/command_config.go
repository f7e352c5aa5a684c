package lbproxy

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/headers"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"github.com/caddyserver/caddy/v2/modules/caddytls"
	"go.uber.org/zap"

	"github.com/caddylb/caddy-lb/modules/healthcheck"
)

// defaultQuickInterval is the interval of the check that --health asks for.
const defaultQuickInterval = 10 * time.Second

// quickConfig is what the flags of `caddy lb-proxy` say.
type quickConfig struct {
	from                 string
	to                   []string
	policy, health       string
	headerUp, headerDown []string

	changeHost, insecure, disableRedirects, internalCerts, accessLog, debug bool
}

// build makes the configuration of a server with one lb_proxy handler, without admin endpoint.
func (c *quickConfig) build() (*caddy.Config, error) {
	from, err := c.address()
	if err != nil {
		return nil, err
	}
	handler, err := c.handler()
	if err != nil {
		return nil, err
	}
	route := caddyhttp.Route{HandlersRaw: []json.RawMessage{caddyconfig.JSONModuleObject(handler, "handler", "lb_proxy", nil)}}
	if from.Host != "" {
		route.MatcherSetsRaw = []caddy.ModuleMap{{"host": caddyconfig.JSON(caddyhttp.MatchHost{from.Host}, nil)}}
	}
	server := &caddyhttp.Server{Routes: caddyhttp.RouteList{route}, Listen: []string{":" + from.Port}}
	if c.accessLog {
		server.Logs = &caddyhttp.ServerLogConfig{}
	}
	if from.Scheme == "http" || c.disableRedirects {
		server.AutoHTTPS = &caddyhttp.AutoHTTPSConfig{Disabled: from.Scheme == "http", DisableRedir: from.Scheme != "http"}
	}
	apps := caddy.ModuleMap{
		"http": caddyconfig.JSON(caddyhttp.App{Servers: map[string]*caddyhttp.Server{"proxy": server}}, nil),
	}
	if c.internalCerts && from.Host != "" {
		apps["tls"] = caddyconfig.JSON(caddytls.TLS{Automation: &caddytls.AutomationConfig{
			Policies: []*caddytls.AutomationPolicy{{
				SubjectsRaw: []string{from.Host},
				IssuersRaw:  []json.RawMessage{json.RawMessage(`{"module":"internal"}`)},
			}},
		}}, nil)
	}
	persist := false
	config := &caddy.Config{
		Admin:   &caddy.AdminConfig{Disabled: true, Config: &caddy.ConfigSettings{Persist: &persist}},
		AppsRaw: apps,
	}
	if c.debug {
		config.Logging = &caddy.Logging{Logs: map[string]*caddy.CustomLog{
			"default": {BaseLog: caddy.BaseLog{Level: zap.DebugLevel.CapitalString()}},
		}}
	}
	return config, nil
}

// address completes the address to listen on: HTTPS for a name, unless its port says HTTP.
func (c *quickConfig) address() (httpcaddyfile.Address, error) {
	a, err := httpcaddyfile.ParseAddress(c.from)
	if err != nil {
		return a, fmt.Errorf("--from %s: %w", c.from, err)
	}
	if a.Path != "" {
		return a, fmt.Errorf("--from %s: paths are not allowed", c.from)
	}
	if a.Scheme == "" {
		a.Scheme = "https"
		if a.Host == "" || a.Port == strconv.Itoa(caddyhttp.DefaultHTTPPort) {
			a.Scheme = "http"
		}
	}
	if a.Port == "" {
		a.Port = strconv.Itoa(caddyhttp.DefaultHTTPSPort)
		if a.Scheme == "http" {
			a.Port = strconv.Itoa(caddyhttp.DefaultHTTPPort)
		}
	}
	return a, nil
}

// handler makes the lb_proxy handler.
func (c *quickConfig) handler() (*Handler, error) {
	if len(c.to) == 0 {
		return nil, errors.New("--to is required: name at least one backend")
	}
	h := new(Handler)
	pool := newPoolParser(&h.PoolConfig)
	for i, address := range c.to {
		// The parser names places in a Caddyfile; here they are the flags.
		d := caddyfile.NewDispenser([]caddyfile.Token{{File: "--to", Line: i + 1, Text: address}})
		d.Next()
		if err := pool.addUpstreams(d, address); err != nil {
			return nil, err
		}
	}
	if _, mixed := pool.commonScheme(); mixed {
		for i, scheme := range pool.schemes {
			if scheme == "" {
				pool.schemes[i] = "http"
			}
		}
	}
	if c.insecure {
		pool.transport, pool.transportName = insecureTransport(pool.schemes), "http"
	}
	flags := caddyfile.NewDispenser([]caddyfile.Token{{File: "--to", Text: "--to"}})
	flags.Next()
	if err := pool.finishTransport(flags, nil); err != nil {
		return nil, err
	}
	if c.policy != "" {
		if err := checkBarePolicy(c.policy); err != nil {
			return nil, err
		}
		h.LoadBalancing = &LoadBalancing{SelectionPolicyRaw: caddyconfig.JSON(map[string]string{"policy": c.policy}, nil)}
	}
	if c.health != "" {
		if !strings.HasPrefix(c.health, "/") {
			return nil, fmt.Errorf("--health %s is no path: write /%[1]s", c.health)
		}
		h.HealthChecks = &HealthChecks{Active: &healthcheck.Active{URI: c.health, Interval: caddy.Duration(defaultQuickInterval)}}
	}
	return h, c.headers(h)
}

// insecureTransport verifies no certificate. Without a backend that has one it changes nothing.
func insecureTransport(schemes []string) http.RoundTripper {
	t := new(reverseproxy.HTTPTransport)
	for _, s := range schemes {
		if s == "https" {
			t.TLS = &reverseproxy.TLSConfig{InsecureSkipVerify: true}
		}
	}
	return t
}

// headers sets the handler's header operations.
func (c *quickConfig) headers(h *Handler) error {
	up, err := headerFlags("header-up", c.headerUp)
	if err != nil {
		return err
	}
	down, err := headerFlags("header-down", c.headerDown)
	if err != nil {
		return err
	}
	if c.changeHost {
		up.Set("Host", "{http.reverse_proxy.upstream.hostport}")
	}
	if len(up) == 0 && len(down) == 0 {
		return nil
	}
	h.Headers = new(headers.Handler)
	if len(up) > 0 {
		h.Headers.Request = &headers.HeaderOps{Set: up}
	}
	if len(down) > 0 {
		h.Headers.Response = &headers.RespHeaderOps{HeaderOps: &headers.HeaderOps{Set: down}}
	}
	return nil
}

// headerFlags reads "Field: value" flags.
func headerFlags(flag string, values []string) (http.Header, error) {
	header := make(http.Header)
	for _, v := range values {
		field, value, ok := strings.Cut(v, ":")
		field, value = strings.TrimSpace(field), strings.TrimSpace(value)
		if !ok || field == "" || value == "" {
			return nil, fmt.Errorf("--%s %q: write \"Field: value\"", flag, v)
		}
		header.Set(field, value)
	}
	return header, nil
}
