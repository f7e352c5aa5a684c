package h1

import (
	"net/http"
	"strings"

	"github.com/caddylb/caddy-lb/internal/syntax"
)

// head is the start of an answer: its status line and its header.
type head struct {
	minor  int // of the version, 1.minor
	status int
	reason string // status and reason phrase, as in http.Response.Status
	header http.Header
}

// parseHead reads a whole head. The strings of the result share one copy of it.
func parseHead(p []byte) (head, error) {
	if syntax.TooManyFields(p) {
		return head{}, errTooManyFields
	}
	text := string(p)
	line, rest, err := cutLine(text)
	if err != nil {
		return head{}, err
	}
	var h head
	if err := h.parseStatusLine(line); err != nil {
		return h, err
	}
	h.header, err = parseFields(rest)
	return h, err
}

var errTooManyFields = malformed("it has too many fields for its length")

// parseStatusLine reads "HTTP/1.x 200 reason" (RFC 9112, section 4). Without a reason the space before it may be
// missing, too.
func (h *head) parseStatusLine(line string) error {
	version, rest, ok := strings.Cut(line, " ")
	if !ok || len(version) != len("HTTP/1.1") || !strings.HasPrefix(version, "HTTP/1.") || !syntax.IsDigit(version[7]) {
		return malformed("it begins with %.64q, not with a status line of HTTP/1.1", line)
	}
	h.minor = int(version[7] - '0')
	code := rest
	if len(rest) > 3 {
		code = rest[:3]
		if rest[3] != ' ' {
			return malformed("status line %.64q", line)
		}
	}
	if len(code) != 3 || !syntax.IsDigit(code[0]) || !syntax.IsDigit(code[1]) || !syntax.IsDigit(code[2]) || code[0] == '0' {
		return malformed("status line %.64q", line)
	}
	if !syntax.IsFieldValue(rest) {
		return malformed("control characters in the status line %.64q", line)
	}
	h.status = int(code[0]-'0')*100 + int(code[1]-'0')*10 + int(code[2]-'0')
	h.reason = rest
	return nil
}

// cutLine splits the first line off, which is there.
func cutLine(text string) (line, rest string, err error) {
	i := strings.IndexByte(text, '\n')
	if i < 0 {
		return "", "", malformed("a line without end")
	}
	line, rest = text[:i], text[i+1:]
	return strings.TrimSuffix(line, "\r"), rest, nil
}

// parseFields reads field lines up to the empty line that ends them (RFC 9112, section 5).
func parseFields(text string) (http.Header, error) {
	n := syntax.FieldsHint(text)
	header := make(http.Header, n)
	values := make([]string, 0, n)
	for {
		line, rest, err := cutLine(text)
		if err != nil {
			return nil, err
		}
		if text = rest; line == "" {
			return header, nil
		}
		if isBlank(text) && strings.Contains(line, ":") { // a name does not go on in another line
			line, text = unfold(line, text)
		}
		name, value, err := parseField(line)
		if err != nil {
			return nil, err
		}
		if prior, ok := header[name]; ok {
			header[name] = append(prior, value)
			continue
		}
		if len(values) == cap(values) {
			values = make([]string, 0, n) // those of other fields stay where they are
		}
		values = append(values, value)
		header[name] = values[len(values)-1 : len(values) : len(values)]
	}
}

// isBlank reports whether a line that follows begins with white space.
func isBlank(text string) bool { return text != "" && (text[0] == ' ' || text[0] == '\t') }

// unfold joins a line with those that continue it: a proxy has to replace each fold by a space, or to refuse the
// answer (RFC 9112, section 5.2).
func unfold(line, text string) (joined, rest string) {
	var b strings.Builder
	b.WriteString(strings.TrimRight(line, " \t"))
	for isBlank(text) {
		more, rest, err := cutLine(text)
		if err != nil {
			break
		}
		text = rest
		b.WriteByte(' ')
		b.WriteString(strings.Trim(more, " \t"))
	}
	return b.String(), text
}

// parseField reads "name: value". White space before the colon is removed, as a proxy has to (RFC 9112, section
// 5.1).
func parseField(line string) (name, value string, err error) {
	colon := strings.IndexByte(line, ':')
	if colon < 0 {
		return "", "", malformed("field line %.64q has no colon", line)
	}
	name, value = line[:colon], syntax.TrimBlanks(line[colon+1:])
	if colon > 0 && name[colon-1] <= ' ' {
		name = strings.TrimRight(name, " \t")
	}
	if !syntax.IsToken(name) {
		return "", "", malformed("field name %.64q", name)
	}
	if !syntax.IsFieldValue(value) {
		return "", "", malformed("control characters in the value of %s", name)
	}
	return syntax.Canonical(name), value, nil
}
