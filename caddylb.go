// Package caddylb registers every module of the suite. Importing it is all that xcaddy, or a program with a main
// package of its own, has to do.
package caddylb

import (
	_ "github.com/caddylb/caddy-lb/modules/cluster"
	_ "github.com/caddylb/caddy-lb/modules/filter"
	_ "github.com/caddylb/caddy-lb/modules/healthcheck"
	_ "github.com/caddylb/caddy-lb/modules/lbproxy"
	_ "github.com/caddylb/caddy-lb/modules/selection"
)
