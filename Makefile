# Tools are run at the versions continuous integration uses; .ci/versions names them.
include .ci/versions

.PHONY: build test race lint fmt bench xcaddy clean

build:
	go build -trimpath -o bin/caddy ./cmd/caddy

test:
	go test ./...

race:
	go test -race ./...

lint:
	golangci-lint run ./...
	test -z "$$(gofumpt -l .)"

fmt:
	gofumpt -w .

bench:
	go test -run '^$$' -bench . -benchmem ./...

xcaddy:
	xcaddy build $(CADDY_VERSION) --output bin/caddy-xcaddy --with github.com/caddylb/caddy-lb@v0.0.0=.

clean:
	rm -rf bin
