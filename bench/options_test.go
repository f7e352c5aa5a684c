package main

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestOptions(t *testing.T) {
	o, err := parseOptions([]string{"-only", "^get", "-peers", "lb,nginx", "-procs", "2", "-proxy-cpus", "2, 3", "-load-cpus", "4"})
	if err != nil {
		t.Fatal(err)
	}
	if !o.only.MatchString("get-100b") || o.only.MatchString("tls-get") || !slices.Equal(o.peers, []string{"lb", "nginx"}) ||
		!slices.Equal(o.proxyCPUs, []int{2, 3}) || !slices.Equal(o.loadCPUs, []int{4}) || o.rounds != 5 || o.duration != 3*time.Second {
		t.Fatalf("got %+v", o)
	}
	if o, err = parseOptions([]string{"-ci"}); err != nil || o.rounds != 1 || o.duration != 100*time.Millisecond {
		t.Fatalf("got %+v, %v", o, err)
	}
}

func TestBadOptions(t *testing.T) {
	for args, want := range map[string]string{
		"-rounds 0":              "-rounds",
		"-duration -1s":          "-duration",
		"-procs 3":               "-proxy-cpus has 2",
		"-proxy-cpus 0,a":        `"a" is no processor`,
		"-load-cpus -1":          `"-1" is no processor`,
		"-only (":                "-only",
		"-rate -5":               "-rate",
		"surplus":                `unexpected argument "surplus"`,
		"-root internal/nowhere": "go run -C bench .",
	} {
		if _, err := parseOptions(strings.Fields(args)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", args, err, want)
		}
	}
}

func TestChaosOptions(t *testing.T) {
	o, err := parseChaosOptions([]string{"-scenario", "^re", "-ci"})
	if err != nil || !o.only.MatchString("reload") || o.only.MatchString("faults") || !slices.Equal(o.peers, []string{"lb"}) {
		t.Fatalf("got %+v, %v", o, err)
	}
	if o, err = parseChaosOptions([]string{"-peers", "stock,haproxy"}); err != nil || len(o.peers) != 2 || o.ci {
		t.Fatalf("got %+v, %v", o, err)
	}
	for _, args := range []string{"-scenario (", "surplus", "-root internal/nowhere"} {
		if _, err := parseChaosOptions(strings.Fields(args)); err == nil {
			t.Errorf("%s: no error", args)
		}
	}
}
