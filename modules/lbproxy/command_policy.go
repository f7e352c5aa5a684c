package lbproxy

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddylb/caddy-lb/modules/selection"
)

// checkBarePolicy returns an error if there is no such policy, or if it does not work without
// options, which the command line does not have.
func checkBarePolicy(name string) error {
	if !slices.ContainsFunc(caddy.GetModules(selection.Namespace), func(m caddy.ModuleInfo) bool { return m.ID.Name() == name }) {
		return fmt.Errorf("--policy: %w", selection.NoPolicy(name))
	}
	if err := tryBarePolicy(name); err != nil {
		return fmt.Errorf("--policy %s has options that the command line cannot give: write a Caddyfile, or one of %s", name,
			strings.Join(barePolicies(), ", "))
	}
	return nil
}

// barePolicies are the policies that work without options, in alphabetical order.
func barePolicies() []string {
	var names []string
	for _, m := range caddy.GetModules(selection.Namespace) {
		if name := m.ID.Name(); tryBarePolicy(name) == nil {
			names = append(names, name)
		}
	}
	return names
}

// tryBarePolicy provisions a policy without options in a context that is thrown away.
func tryBarePolicy(name string) error {
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	defer cancel()
	_, err := ctx.LoadModuleByID(selection.Namespace+"."+name, nil)
	return err
}
