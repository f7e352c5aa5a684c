package filter

import (
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddylb/caddy-lb/internal/module"
)

const (
	ipOptions    = "allow <addresses...>, deny <addresses...>, status <400-599> or by client_ip|remote_ip"
	addressUsage = "<cidr>, <address>, private_ranges or file <path>"
)

// UnmarshalCaddyfile sets up the filter from Caddyfile tokens. Allow and deny may stand there several times.
//
//	ip {
//		allow  <cidr|address|private_ranges|file <path>>...
//		deny   <cidr|address|private_ranges|file <path>>...
//		status <400-599>
//		by     client_ip|remote_ip
//	}
func (f *IP) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if err := module.NoMore(d, "ip { … }"); err != nil {
		return err
	}
	err := unmarshalBlock(d, "ip", ipOptions, func(name string) (bool, error) {
		switch name {
		case "allow":
			return true, unmarshalAddresses(d, &f.Allow)
		case "deny":
			return true, unmarshalAddresses(d, &f.Deny)
		case "status":
			return true, f.unmarshalStatus(d)
		case "by":
			return true, f.unmarshalBy(d)
		}
		return false, nil
	})
	if err == nil && f.Allow == nil && f.Deny == nil {
		return d.Err("ip refuses nobody: write 'allow <addresses...>' or 'deny <addresses...>' in its block")
	}
	return err
}

// unmarshalAddresses adds the rest of the line to a list.
func unmarshalAddresses(d *caddyfile.Dispenser, list **AddressList) error {
	option := d.Val()
	if *list == nil {
		*list = new(AddressList)
	}
	if d.CountRemainingArgs() == 0 {
		return d.Errf("%s lacks its addresses: write %s", option, addressUsage)
	}
	for d.NextArg() {
		entry := d.Val()
		switch {
		case entry == "file":
			if !d.NextArg() {
				return d.Errf("file lacks its path: write '%s file <path>'", option)
			}
			(*list).Files = append((*list).Files, d.Val())
			continue
		case strings.Contains(entry, "{"): // known at load
		default:
			if _, err := parsePrefixes(entry); err != nil {
				return d.Errf("%v, or file <path>", err)
			}
		}
		(*list).Ranges = append((*list).Ranges, entry)
	}
	return nil
}

func (f *IP) unmarshalStatus(d *caddyfile.Dispenser) error {
	if err := once(d, f.Status != 0); err != nil {
		return err
	}
	text, err := module.OneArg(d, "status <400-599>")
	if err != nil {
		return err
	}
	f.Status, err = strconv.Atoi(text)
	if err != nil || f.Status < 400 || f.Status > 599 {
		return d.Errf("'%s' is no status of a refusal: write 'status <400-599>'", text)
	}
	return nil
}

func (f *IP) unmarshalBy(d *caddyfile.Dispenser) error {
	if err := once(d, f.By != ""); err != nil {
		return err
	}
	by, err := module.OneArg(d, "by client_ip|remote_ip")
	if err != nil {
		return err
	}
	if by != byClientIP && by != byRemoteIP {
		return d.Errf("'%s' is no address of a request: write 'by client_ip|remote_ip'", by)
	}
	f.By = by
	return nil
}

// Interface guard
var _ caddyfile.Unmarshaler = (*IP)(nil)
