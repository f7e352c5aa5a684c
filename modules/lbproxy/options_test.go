package lbproxy

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

// configFields are the fields of a struct that a configuration may set.
func configFields(prefix string, of reflect.Type) []string {
	var names []string
	for field := range of.Fields() {
		if optionName(field) != "" {
			names = append(names, prefix+field.Name)
		}
	}
	return names
}

// A new field has to be declared, so that somebody thinks of what it does not go with.
func TestEveryOptionIsDeclared(t *testing.T) {
	fields := slices.Concat(configFields("", reflect.TypeFor[PoolConfig]()), configFields("", reflect.TypeFor[Handler]()),
		configFields("LoadBalancing.", reflect.TypeFor[LoadBalancing]()))
	fields = slices.DeleteFunc(fields, func(f string) bool { return f == "LoadBalancing" }) // a struct of options
	for _, f := range fields {
		if _, ok := options[f]; !ok {
			t.Errorf("the option %s is not declared", f)
		}
	}
	for f := range options {
		if !slices.Contains(fields, f) {
			t.Errorf("there is no field %s", f)
		}
	}
}

// A version of Caddy with another option of the transport fails here until somebody has seen to it.
func TestEveryTransportOptionIsDeclared(t *testing.T) {
	fields := slices.Concat(configFields("", reflect.TypeFor[reverseproxy.HTTPTransport]()),
		configFields("TLS.", reflect.TypeFor[reverseproxy.TLSConfig]()))
	var declared []string
	for _, o := range transportOptions {
		declared = append(declared, o.field)
	}
	slices.Sort(fields)
	slices.Sort(declared)
	if !slices.Equal(fields, declared) {
		t.Errorf("declared are\n%s\nand there are\n%s", declared, fields)
	}
}

// Beside the name of a pool each option either is of single requests or is refused; none is
// ignored.
func TestNoOptionIsIgnoredBesidePool(t *testing.T) {
	set := func(config reflect.Value, prefix string, into *PoolConfig) {
		for field, value := range config.Fields() {
			name := optionName(field)
			if name == "" || field.Name == "LoadBalancing" {
				continue
			}
			fill(value)
			got := into.ownedOption()
			if want := !options[prefix+field.Name].ofRequests; (got == name) != want || (got != "") != want {
				t.Errorf("%s%s: refused is %q, want %v", prefix, name, got, want)
			}
			value.SetZero()
		}
	}
	c := &PoolConfig{LoadBalancing: new(LoadBalancing)}
	set(reflect.ValueOf(c).Elem(), "", c)
	set(reflect.ValueOf(c.LoadBalancing).Elem(), "LoadBalancing.", c)
}

// fill gives a value that is not its zero.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
	case reflect.Float64:
		v.SetFloat(1)
	case reflect.Int, reflect.Int64:
		v.SetInt(1)
	default:
		panic(fmt.Sprint("no value for a ", v.Kind()))
	}
}

func TestResolversBesidePool(t *testing.T) {
	p := &proxy{t: t, address: freeAddress(t)}
	err := p.tryLoad(`"pool":"a","resolvers":["127.0.0.1:53"]`, serverOptions{apps: `"lb":{"pools":{"a":{` + upstreams("127.0.0.1:1") + `}}}`})
	if err == nil || !strings.Contains(err.Error(), "cannot have resolvers of its own") {
		t.Errorf("the error is %v", err)
	}
}
