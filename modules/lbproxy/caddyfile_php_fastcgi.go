package lbproxy

import (
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/fileserver"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy/fastcgi"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/rewrite"
)

func init() {
	httpcaddyfile.RegisterDirective("lb_php_fastcgi", parsePHPFastCGI)
	httpcaddyfile.RegisterDirectiveOrder("lb_php_fastcgi", httpcaddyfile.Before, "php_fastcgi")
}

// phpFastCGI is lb_php_fastcgi while it is read.
type phpFastCGI struct {
	transport fastcgi.Transport
	index     string
	tryFiles  []string
}

// parsePHPFastCGI parses lb_php_fastcgi, which expands as Caddy's php_fastcgi does. Syntax:
//
//	lb_php_fastcgi [<matcher>] [<upstreams...>] {
//	    split     <extensions...>
//	    index     <file>|off
//	    try_files <files...>
//	    root, env, resolve_root_symlink, dial_timeout, read_timeout, write_timeout, capture_stderr: see transport fastcgi
//	    <options of lb_proxy>
//	}
//
// It stands for:
//
//	@canonical {
//	    file {path}/index.php
//	    not path */
//	}
//	redir @canonical <path>/ 308
//
//	@index file {
//	    try_files  {path} {path}/index.php index.php
//	    try_policy first_exist_fallback
//	    split_path .php
//	}
//	rewrite @index {file_match.relative}
//
//	@php path *.php
//	lb_proxy @php [<upstreams...>] {
//	    transport fastcgi {
//	        split .php
//	    }
//	    <options of lb_proxy>
//	}
func parsePHPFastCGI(helper httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
	helper.Next()
	matcher, err := helper.ExtractMatcherSet()
	if err != nil {
		return nil, err
	}
	p := &phpFastCGI{index: "index.php", transport: fastcgi.Transport{SplitPath: []string{".php"}}}
	h := &Handler{shorthand: p.options()}
	if err := h.parse(helper); err != nil {
		return nil, err
	}
	if h.TransportRaw == nil {
		h.TransportRaw = caddyconfig.JSONModuleObject(p.transport, "protocol", "fastcgi", nil)
	}
	if err := h.finalize(helper); err != nil {
		return nil, err
	}
	subroute := caddyhttp.Subroute{Routes: p.routes(h)}
	if matcher != nil {
		return helper.NewRoute(matcher, &subroute), nil
	}
	// As it is, so that the adapter can leave the level out.
	return []httpcaddyfile.ConfigValue{{Class: "route", Value: subroute}}, nil
}

func (p *phpFastCGI) options() map[string]func(*caddyfile.Dispenser) error {
	return map[string]func(*caddyfile.Dispenser) error{
		"index":     p.unmarshalIndex,
		"try_files": p.unmarshalTryFiles,

		"root": p.unmarshalTransport, "split": p.unmarshalTransport, "env": p.unmarshalTransport,
		"resolve_root_symlink": p.unmarshalTransport, "capture_stderr": p.unmarshalTransport,
		"dial_timeout": p.unmarshalTransport, "read_timeout": p.unmarshalTransport, "write_timeout": p.unmarshalTransport,
	}
}

func (p *phpFastCGI) unmarshalIndex(d *caddyfile.Dispenser) error {
	if !d.AllArgs(&p.index) {
		return d.Errf("index takes one file: write for example 'index index.php', or 'index off'")
	}
	return nil
}

func (p *phpFastCGI) unmarshalTryFiles(d *caddyfile.Dispenser) error {
	if p.tryFiles = d.RemainingArgs(); len(p.tryFiles) == 0 {
		return d.Errf("try_files lacks its files: write for example 'try_files {path} index.php'")
	}
	return nil
}

// unmarshalTransport has Caddy read an option of the transport, in a block as it would stand in.
func (p *phpFastCGI) unmarshalTransport(d *caddyfile.Dispenser) error {
	option := d.NextSegment()
	at := func(text string, line int) caddyfile.Token {
		return caddyfile.Token{File: d.File(), Line: line, Text: text}
	}
	line := option[0].Line
	block := append([]caddyfile.Token{at("fastcgi", line), at("{", line)}, option...)
	return p.transport.UnmarshalCaddyfile(caddyfile.NewDispenser(append(block, at("}", d.Line()+1))))
}

// routes lead to h what is for PHP.
func (p *phpFastCGI) routes(h *Handler) (routes caddyhttp.RouteList) {
	if p.index != "off" {
		routes = p.indexRoutes()
	}
	var paths caddyhttp.MatchPath
	for _, extension := range p.transport.SplitPath {
		paths = append(paths, "*"+extension)
	}
	return append(routes, caddyhttp.Route{
		MatcherSetsRaw: []caddy.ModuleMap{{"path": caddyconfig.JSON(paths, nil)}},
		HandlersRaw:    handlerJSON("lb_proxy", h),
	})
}

// indexRoutes find the file that a path leads to.
func (p *phpFastCGI) indexRoutes() (routes caddyhttp.RouteList) {
	dirIndex := "{http.request.uri.path}/" + p.index
	files, policy := p.tryFiles, "first_exist_fallback"
	if len(files) == 0 {
		files = []string{"{http.request.uri.path}", dirIndex, p.index}
	} else if !strings.HasSuffix(files[len(files)-1], ".php") {
		policy = "" // the last one need not exist to PHP: the first that exists
	}
	if slices.Contains(files, dirIndex) {
		routes = append(routes, redirectToDirectory(dirIndex))
	}
	found := fileserver.MatchFile{TryFiles: files, TryPolicy: policy, SplitPath: p.transport.SplitPath}
	return append(routes, caddyhttp.Route{
		MatcherSetsRaw: []caddy.ModuleMap{{"file": caddyconfig.JSON(found, nil)}},
		HandlersRaw:    handlerJSON("rewrite", rewrite.Rewrite{URI: "{http.matchers.file.relative}"}),
	})
}

// redirectToDirectory adds the slash to the path of a directory with an index file. The location is
// relative to the last segment of the path: one made of the whole path as the client sent it could
// begin with //, which is another host. The dot keeps a colon in the segment from ending a scheme.
func redirectToDirectory(dirIndex string) caddyhttp.Route {
	slash := caddy.ModuleMap{"path": caddyconfig.JSON(caddyhttp.MatchPath{"*/"}, nil)}
	return caddyhttp.Route{
		MatcherSetsRaw: []caddy.ModuleMap{{
			"file": caddyconfig.JSON(fileserver.MatchFile{TryFiles: []string{dirIndex}}, nil),
			"not":  caddyconfig.JSON(caddyhttp.MatchNot{MatcherSetsRaw: []caddy.ModuleMap{slash}}, nil),
		}},
		HandlersRaw: handlerJSON("static_response", caddyhttp.StaticResponse{
			StatusCode: caddyhttp.WeakString("308"),
			Headers:    http.Header{"Location": {"./{http.request.orig_uri.path.file_escaped}/{http.request.orig_uri.prefixed_query}"}},
		}),
	}
}
