package corpus

import (
	"fmt"
	"strings"
)

// Request is what a client sends in place of a request of HTTP/1.1.
type Request struct {
	Name string // unique
	Raw  string

	// Served says that a proxy must have it answered by the backend.
	Served bool
}

// Hidden is a request that stands in a body, or behind a message whose end is in doubt. It is the
// only one with this target.
const Hidden = "GET /hidden HTTP/1.1\r\nHost: a.test\r\n\r\n"

// Requests are all of HTTP/1.1, grouped by what they vary.
func Requests() []Request {
	var l list
	for _, group := range []func(*list){
		plainRequests, requestLines, hosts, lengths, codings, chunkLines, chunkBodies, trailers, nominations, expectations,
		upgrades, methods, octets, lineEnds, longRequests, mutants,
	} {
		group(&l)
	}
	return l.requests
}

// list collects requests, each once.
type list struct {
	requests []Request
	names    map[string]bool
	raws     map[string]bool
}

// add adds a request, unless it is there already. Names that would be equal are numbered.
func (l *list) add(name, raw string) { l.put(Request{Name: name, Raw: raw}) }

// served adds a request that has to reach the backend.
func (l *list) served(name, raw string) { l.put(Request{Name: name, Raw: raw, Served: true}) }

func (l *list) put(r Request) {
	if l.names == nil {
		l.names, l.raws = make(map[string]bool), make(map[string]bool)
	}
	if l.raws[r.Raw] {
		return
	}
	l.raws[r.Raw] = true
	base := r.Name
	for n := 2; l.names[r.Name]; n++ {
		r.Name = fmt.Sprintf("%s #%d", base, n)
	}
	l.names[r.Name] = true
	l.requests = append(l.requests, r)
}

// head makes a head out of lines, each with CRLF, and adds the empty line.
func head(lines ...string) string { return strings.Join(lines, "\r\n") + "\r\n\r\n" }

// get is a GET with these field lines.
func get(fields ...string) string {
	return head(append([]string{"GET /case HTTP/1.1", "Host: a.test"}, fields...)...)
}

// post is a POST with these field lines, which have to say how long the body is.
func post(body string, fields ...string) string {
	return head(append([]string{"POST /case HTTP/1.1", "Host: a.test"}, fields...)...) + body
}

// chunked is a POST with a body of chunks.
func chunked(body string, fields ...string) string {
	return post(body, append(fields, "Transfer-Encoding: chunked")...)
}

func plainRequests(l *list) {
	l.served("plain/get", get())
	l.served("plain/query", head("GET /case?a=b&c HTTP/1.1", "Host: a.test"))
	l.served("plain/fields", get("Accept: */*", "X-A: b", "x-a: c", "Cookie: d=e", "Empty:", "X-Obs: \xe9"))
	l.served("plain/head", head("HEAD /case HTTP/1.1", "Host: a.test"))
	l.served("plain/post", post("hello", "Content-Length: 5"))
	l.served("plain/post nothing", post("", "Content-Length: 0"))
	l.served("plain/post without length", post(""))
	l.served("plain/chunked", chunked("5\r\nhello\r\n0\r\n\r\n"))
	l.served("plain/chunked in pieces", chunked("1\r\nh\r\n2\r\nel\r\n0002\r\nlo\r\n000\r\n\r\n"))
	l.served("plain/trailers", chunked("5\r\nhello\r\n0\r\nX-Sum: 5\r\n\r\n", "Trailer: X-Sum"))
	l.served("plain/body is a request", post(Hidden, fmt.Sprintf("Content-Length: %d", len(Hidden))))
	l.served("plain/chunk is a request", chunked(fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(Hidden), Hidden)))
	l.served("plain/absolute", head("GET http://b.test/case?q HTTP/1.1", "Host: a.test"))
	l.served("plain/put", head("PUT /case HTTP/1.1", "Host: a.test", "Content-Length: 3")+"abc")
	l.served("plain/close", get("Connection: close"))
	l.served("plain/old", head("GET /case HTTP/1.0", "Host: a.test", "Connection: keep-alive"))
	l.served("plain/old without host", head("GET /case HTTP/1.0", "Connection: keep-alive"))
	l.served("plain/old post", head("POST /case HTTP/1.0", "Host: a.test", "Connection: keep-alive", "Content-Length: 5")+"hello")
}
