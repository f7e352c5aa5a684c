package filter

import (
	"net/netip"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
)

// AddressList is addresses.
type AddressList struct {
	// Ranges are CIDR prefixes, addresses, and "private_ranges" for those of private networks and loopback. Placeholders such as {env.NAME} are
	// replaced at load.
	Ranges []string `json:"ranges,omitempty"`

	// Files are paths of lists with one such entry a line, and comments that begin with #.
	Files []string `json:"files,omitempty"`
}

// addressSource is where the addresses of a list come from. It is used by one goroutine at a time.
type addressSource struct {
	inline []netip.Prefix
	files  []*prefixFile
}

// open reads the list and its files, which all have to be good. A nil list has no addresses.
func (l *AddressList) open() (*addressSource, error) {
	s := new(addressSource)
	if l == nil {
		return s, nil
	}
	repl := caddy.NewReplacer()
	for _, text := range l.Ranges {
		prefixes, err := parsePrefixes(repl.ReplaceAll(text, ""))
		if err != nil {
			return nil, err
		}
		s.inline = append(s.inline, prefixes...)
	}
	for _, path := range l.Files {
		file, err := openPrefixFile(repl.ReplaceAll(path, ""))
		if err != nil {
			return nil, err
		}
		s.files = append(s.files, file)
	}
	return s, nil
}

// refresh reads the files that changed, and reports whether the addresses are others now.
func (s *addressSource) refresh(logger *zap.Logger) (changed bool) {
	for _, file := range s.files {
		changed = file.refresh(logger) || changed
	}
	return changed
}

// set is the addresses as they are now.
func (s *addressSource) set() prefixSet {
	all := slices.Clone(s.inline)
	for _, file := range s.files {
		all = append(all, file.prefixes...)
	}
	return newPrefixSet(all)
}
