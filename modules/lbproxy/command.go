package lbproxy

import (
	"strings"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
	"go.uber.org/zap"
)

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  "lb-proxy",
		Usage: `--to <addr>... [--from <addr>] [--policy <name>] [--health <uri>] [--change-host-header] [--insecure] [--internal-certs] [--disable-redirects] [--header-up "Field: value"] [--header-down "Field: value"] [--access-log] [--debug]`,
		Short: "A load balancer in one command",
		Long: `
Balances what comes to the --from address over the --to addresses, which can
be several and of different schemes. It takes every flag of reverse-proxy.

A --from address with a host is served over HTTPS with a certificate, unless
its scheme is http or its port the HTTP port. A --to address without a scheme
is spoken to over HTTP.

For balancing:
  --policy names how a backend is picked, by one of the policies that need
    no options. Default: round_robin.
  --health is a path, or path and query, that a backend has to answer with a
    2xx status every 10 seconds; those that do not are passed over. It begins
    with a slash.

For HTTPS in front:
  --disable-redirects keeps off the HTTP port.
  --internal-certs issues the certificate from Caddy's internal CA.

For the backends:
  --header-up sets a field of the request on its way to them, --header-down
    one of their answers.
  --change-host-header sends them their own address as Host.
  --insecure takes any certificate from them.
`,
		CobraFunc: func(cmd *cobra.Command) {
			flags := cmd.Flags()
			flags.StringP("from", "f", "localhost", "Address on which to receive traffic")
			flags.StringSliceP("to", "t", nil, "Backend address, repeatable")
			flags.String("policy", "", "Selection policy: "+strings.Join(barePolicies(), ", "))
			flags.String("health", "", "Path that every backend has to answer with 2xx")
			flags.BoolP("change-host-header", "c", false, "Send the backend's address as Host")
			flags.Bool("insecure", false, "Do not verify certificates of backends (DISABLES SECURITY)")
			flags.BoolP("disable-redirects", "r", false, "Disable HTTP->HTTPS redirects")
			flags.BoolP("internal-certs", "i", false, "Use the internal CA")
			flags.StringArrayP("header-up", "H", nil, `Set a request field (format: "Field: value")`)
			flags.StringArrayP("header-down", "d", nil, `Set a response field (format: "Field: value")`)
			flags.Bool("access-log", false, "Enable the access log")
			flags.BoolP("debug", "v", false, "Enable debug logs")
			cmd.RunE = caddycmd.WrapCommandFuncForCobra(runCommand)
		},
	})
}

// runCommand is `caddy lb-proxy`. It serves until a signal ends the process.
func runCommand(fl caddycmd.Flags) (int, error) {
	caddy.TrapSignals()
	c := quickConfig{
		from: fl.String("from"), policy: fl.String("policy"), health: fl.String("health"),
		changeHost: fl.Bool("change-host-header"), insecure: fl.Bool("insecure"),
		disableRedirects: fl.Bool("disable-redirects"), internalCerts: fl.Bool("internal-certs"),
		accessLog: fl.Bool("access-log"), debug: fl.Bool("debug"),
	}
	var err error
	if c.to, err = fl.GetStringSlice("to"); err != nil {
		return caddy.ExitCodeFailedStartup, err
	}
	if c.headerUp, err = fl.GetStringArray("header-up"); err != nil {
		return caddy.ExitCodeFailedStartup, err
	}
	if c.headerDown, err = fl.GetStringArray("header-down"); err != nil {
		return caddy.ExitCodeFailedStartup, err
	}
	config, err := c.build()
	if err != nil {
		return caddy.ExitCodeFailedStartup, err
	}
	if err := caddy.Run(config); err != nil {
		return caddy.ExitCodeFailedStartup, err
	}
	caddy.Log().Info("caddy balancing", zap.String("from", c.from), zap.Strings("to", c.to))
	select {}
}
