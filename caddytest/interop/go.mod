// Client and server of gRPC's interoperability tests, for the test beside this directory: a module of its own, so that
// users of the suite do not get its dependencies.
module github.com/caddylb/caddy-lb/caddytest/interop

go 1.26.0

require google.golang.org/grpc v1.83.2

require (
	cloud.google.com/go/compute/metadata v0.9.1 // indirect
	github.com/cncf/xds/go v0.0.0-20260202195803-dba9d589def2 // indirect
	github.com/envoyproxy/protoc-gen-validate v1.3.3 // indirect
	golang.org/x/net v0.60.0 // indirect
	golang.org/x/oauth2 v0.37.0 // indirect
	golang.org/x/sys v0.48.0 // indirect
	golang.org/x/text v0.42.0 // indirect
	google.golang.org/genproto/googleapis/rpc v0.0.0-20260921155816-b14227669459 // indirect
	google.golang.org/protobuf v1.36.12 // indirect
)
