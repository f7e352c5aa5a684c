package filter

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
)

func init() {
	caddy.RegisterModule(new(Replace))
}

// Replace replaces text in the bodies of answers as they stream by. Of several texts that begin at one place the first one in the list
// is replaced, and what is put in its place is not searched again, as with strings.NewReplacer. Nothing is held back but what may be the
// beginning of a text: fewer bytes than the longest of them has.
//
// Backends are asked for whole answers without a content coding. Those that have one all the same
// are left alone, as are parts (206) and answers without a body. A changed answer loses the fields
// about the bytes that it had: Content-Length, Accept-Ranges, digests, and the strength of its
// ETag.
type Replace struct {
	// Pairs are what is replaced. Required.
	Pairs []ReplacePair `json:"pairs"`

	// ContentTypes are patterns of the media types of the answers to search, with * for any text within a type or a subtype. Default:
	// text/*, application/json, application/javascript, application/xml, */*+json and */*+xml.
	ContentTypes []string `json:"content_types,omitempty"`

	finder  *textFinder
	fixed   []string // the replacements
	dynamic bool     // one of them has placeholders
}

// ReplacePair is a text and what replaces it.
type ReplacePair struct {
	// Search is the text, of at most 4096 bytes. Required.
	Search string `json:"search"`

	// Replacement is what stands there instead. Placeholders that are known when the answer begins are replaced. Default: nothing.
	Replacement string `json:"replacement,omitempty"`
}

// maxSearch bounds what may be held back of a body, and the work for each of its bytes.
const maxSearch = 4096

// textTypes are the media types of text.
var textTypes = []string{"text/*", "application/json", "application/javascript", "application/xml", "*/*+json", "*/*+xml"}

// aboutBytes are the fields that say something about the bytes of a body: RFC 9110, sections 8.6 and 14.3, RFC 9530, and their predecessors.
var aboutBytes = []string{"Content-Length", "Accept-Ranges", "Content-Digest", "Repr-Digest", "Digest", "Content-Md5"}

// CaddyModule returns the Caddy module information.
func (*Replace) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.lb_proxy.filters.replace", New: func() caddy.Module { return new(Replace) }}
}

// Provision checks the texts, and prepares the search.
func (f *Replace) Provision(caddy.Context) error {
	if len(f.ContentTypes) == 0 {
		f.ContentTypes = textTypes
	}
	for _, pattern := range f.ContentTypes {
		if err := validateType(pattern); err != nil {
			return fmt.Errorf("replace: %w", err)
		}
	}
	if len(f.Pairs) == 0 {
		return errors.New("replace: it has no texts to replace")
	}
	for i, pair := range f.Pairs {
		if err := pair.validate(f.Pairs[:i]); err != nil {
			return fmt.Errorf("replace: %w", err)
		}
		f.fixed = append(f.fixed, pair.Replacement)
		f.dynamic = f.dynamic || strings.Contains(pair.Replacement, "{")
	}
	f.finder = newTextFinder(f.Pairs)
	return nil
}

// validate checks a pair that comes after others.
func (p *ReplacePair) validate(before []ReplacePair) error {
	if p.Search == "" || len(p.Search) > maxSearch {
		return fmt.Errorf("a text to replace has %d bytes: it needs 1, and %d are the most", len(p.Search), maxSearch)
	}
	if slices.ContainsFunc(before, func(other ReplacePair) bool { return other.Search == p.Search }) {
		return fmt.Errorf("the text '%s' is replaced already: write it once", p.Search)
	}
	return nil
}

func validateType(pattern string) error {
	if _, err := path.Match(pattern, ""); err != nil || strings.Count(pattern, "/") != 1 {
		return fmt.Errorf("'%s' is no pattern of media types: write one such as text/* or application/json", pattern)
	}
	return nil
}

// UpstreamRequest implements [UpstreamRequestFilter].
func (f *Replace) UpstreamRequest(_ *Context, r *http.Request) error {
	for _, field := range [...]string{"Accept-Encoding", "Range", "If-Range"} {
		delete(r.Header, field)
	}
	return nil
}

// Response implements [ResponseFilter].
func (f *Replace) Response(x *Context, status int, header http.Header) (int, error) {
	if !hasBody(x.Request.Method, status) || status == http.StatusPartialContent || !f.isText(header) {
		return status, nil
	}
	for _, field := range aboutBytes {
		delete(header, field)
	}
	if tag := header.Get("Etag"); tag != "" && !strings.HasPrefix(tag, "W/") {
		header.Set("Etag", "W/"+tag)
	}
	x.Set(f, f.replacements(x.Replacer))
	return status, nil
}

// isText reports whether the answer is of a type to search, and not encoded.
func (f *Replace) isText(header http.Header) bool {
	if coding := header.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return false
	}
	mediaType, _, _ := strings.Cut(header.Get("Content-Type"), ";")
	mediaType = strings.ToLower(strings.TrimSpace(mediaType))
	for _, pattern := range f.ContentTypes {
		if ok, _ := path.Match(pattern, mediaType); ok {
			return true
		}
	}
	return false
}

// replacements are the texts to write in one answer, in the order of the pairs.
func (f *Replace) replacements(repl *caddy.Replacer) []string {
	if !f.dynamic {
		return f.fixed
	}
	texts := make([]string, len(f.Pairs))
	for i, pair := range f.Pairs {
		texts[i] = repl.ReplaceKnown(pair.Replacement, "")
	}
	return texts
}

// ResponseBody implements [ResponseBodyFilter].
func (f *Replace) ResponseBody(x *Context, body io.ReadCloser) (io.ReadCloser, error) {
	replacements, ok := x.Get(f).([]string)
	if !ok {
		return body, nil
	}
	return newReplacingBody(body, f.finder, replacements), nil
}

// Interface guards
var (
	_ UpstreamRequestFilter = (*Replace)(nil)
	_ ResponseFilter        = (*Replace)(nil)
	_ ResponseBodyFilter    = (*Replace)(nil)
	_ caddy.Provisioner     = (*Replace)(nil)
)
