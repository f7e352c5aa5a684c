package lbproxy

import (
	"net/url"
	"strings"
)

// splitPoolPath finds the pool that a path below /lb/pools/ names, and what follows the name. Names
// may hold slashes. They are path-escaped, or written as they are: the longest name that fits is
// meant then.
func splitPoolPath(escaped string) (p *pool, rest string, err error) {
	first, after, _ := strings.Cut(escaped, "/")
	name, err := url.PathUnescape(first)
	if err != nil {
		return nil, "", badRequest(err)
	}
	if rest, err = url.PathUnescape(after); err != nil {
		return nil, "", badRequest(err)
	}
	if exact := shownNamed(name); exact != nil {
		return exact, rest, nil
	}
	whole := name + "/" + rest
	for _, one := range shownPools() {
		after, ok := strings.CutPrefix(whole+"/", one.Name()+"/")
		if ok && (p == nil || len(one.Name()) > len(p.Name())) {
			p, rest = one, strings.TrimSuffix(after, "/")
		}
	}
	if p == nil {
		missing, _, _ := strings.Cut(whole, "/backends/")
		return nil, "", notFound("there is no pool " + strings.TrimSuffix(missing, "/"))
	}
	return p, rest, nil
}
