module example.com/caddy-lb-filter

go 1.26.0

require (
	github.com/caddylb/caddy-lb v0.0.0
	github.com/caddyserver/caddy/v2 v2.11.9
)
