package corpus

import (
	"fmt"
	"strings"
)

func plainRequests2(l *list2) {
	l.served("plain/get", get2())
	l.served("plain/fields", get2(pair{"accept", "*/*"}, pair{"x-a", "b"}, pair{"x-a", "c"}, pair{"x-empty", ""}))
	l.served("plain/crumbs", get2(pair{"cookie", "a=b"}, pair{"cookie", "c=d"}, pair{"cookie", "e=f"}))
	l.served("plain/trailers field", get2(pair{"te", "trailers"}))
	l.served("plain/post", post2(), body("hello"))
	l.served("plain/post with length", post2(pair{"content-length", "5"}), body("hello"))
	l.served("plain/post in parts", post2(), part("he"), part(""), part("llo"), body(""))
	l.served("plain/post nothing", post2(pair{"content-length", "0"}))
	l.served("plain/trailers", post2(pair{"trailer", "x-sum"}), part("hello"), trailer(pair{"x-sum", "5"}))
	l.served("plain/body is a request", post2(), body(Hidden))
	l.served("plain/body is chunked", post2(), body("0\r\n\r\n"+Hidden))
	l.served("plain/host", []pair{{":method", "GET"}, {":scheme", "http"}, {":path", "/case"}, {"host", "a.test"}})
}

// pseudo2 vary the pseudo-header fields.
func pseudo2(l *list2) {
	names := []string{":method", ":scheme", ":authority", ":path"}
	for i, name := range names {
		without := get2(pair{"x-a", "b"})
		without = append(without[:i:i], without[i+1:]...)
		l.add("pseudo/no "+name, without)
		l.add("pseudo/no "+name+", with Host", append(without[:len(without):len(without)], pair{"host", "a.test"}))
		l.add("pseudo/"+name+" behind a field", append(without[:len(without):len(without)], get2()[i]))
		l.add("pseudo/"+name+" twice", append([]pair{get2()[i]}, get2()...))
		l.add("pseudo/"+name+" twice, the other behind a field", get2(pair{"x-a", "b"}, pair{name, "/hidden"}))
		other := get2()
		l.add("pseudo/"+name+" in two ways", append([]pair{{name, "http"}}, other...))
		empty := get2()
		empty[i][1] = ""
		l.add("pseudo/empty "+name, empty)
		upper := get2()
		upper[i][0] = strings.ToUpper(name)
		l.add("pseudo/upper "+name, upper)
		bare := get2()
		bare[i][0] = name[1:]
		l.add("pseudo/"+name+" without colon", bare)
		l.add("pseudo/"+name+" and without colon", get2(pair{name[1:], "/hidden"}))
		double := get2()
		double[i][0] = ":" + name
		l.add("pseudo/"+name+" with two colons", double)
		l.add("pseudo/"+name+" in trailers", post2(), part("hello"), trailer(pair{name, "/hidden"}))
		space := get2()
		space[i][0] += " "
		l.add("pseudo/"+name+" with a space", space)
		for _, c := range []string{"\r\n", "\n", "\x00", " ", "\t", "\r\nX-Hidden: 1", " HTTP/1.1\r\nX-Hidden: 1\r\n\r\n" + Hidden} {
			odd := get2()
			odd[i][1] += c
			l.add(fmt.Sprintf("pseudo/%s and %.12q", name, c), odd)
			odd = get2()
			odd[i][1] = c + odd[i][1]
			l.add(fmt.Sprintf("pseudo/%.12q and %s", c, name), odd)
		}
	}
	for _, name := range []string{":", ":status", ":protocol", ":host", ":x", ":version", ":reason", ":connection"} {
		l.add("pseudo/unknown "+name, append([]pair{{name, "200"}}, get2()...))
		l.add("pseudo/unknown "+name+" behind a field", get2(pair{"x-a", "b"}, pair{name, "200"}))
	}
	for _, m := range []string{"get", "G", "G(T", "A\"B", "GET /hidden", "GET\x00", "G\xc3T", "PRI", "*", "HTTP/1.1", "HEAD", "TRACE", "OPTIONS", "DELETE", "BREW", "G:T", "GET HTTP/1.1", strings.Repeat("M", 500)} {
		header := get2()
		header[0][1] = m
		l.add(fmt.Sprintf("method/%.20q", m), header)
		l.add(fmt.Sprintf("method/%.20q with a body", m), header, body("hello"))
	}
	for _, s := range []string{"https", "HTTP", "ftp", "http ", "http:", "http://b.test/", "x", "h2c", "http\r\nX-Hidden: 1", "", "ht tp", "1http"} {
		header := get2()
		header[1][1] = s
		l.add(fmt.Sprintf("scheme/%q", s), header)
	}
	l.add("pseudo/nothing", nil)
	l.add("pseudo/only fields", []pair{{"x-a", "b"}})
}

func targets2(l *list2) {
	for _, target := range targets() {
		header := get2()
		header[3][1] = target
		l.add(fmt.Sprintf("path/%q", target), header)
	}
	for _, target := range []string{"*", "/", "", "http://b.test", "x"} {
		header := get2()
		header[0][1], header[3][1] = "OPTIONS", target
		l.add(fmt.Sprintf("path/OPTIONS %q", target), header)
	}
}

func hosts2(l *list2) {
	for _, v := range []string{
		"", "A.TEST", "a.test:80", "a.test:", "a.test:x", "a.test:80:80", ":80", "a..test", "a_test", "a%2etest", "a%zz", "[::1]", "[::1]:80", "[::1", "::1", "[fe80::1%25lo]", "a.test b.test", "a.test,b.test", "a.test/", "a.test/hidden", "a.test?x", "a.test#x", "u@a.test", "u:p@a.test", "http://a.test", "\"a.test\"", "<a.test>",
		"a.test\\b", "a.test\x00", "a.test\x01", "a.test\x7f", "a.test\t", " a.test", "a.test\r\nX-Hidden: 1", "\xc3\xa9.test", "*", "a|b", "a^b", "{a}", "b.test",
	} {
		header := get2()
		header[2][1] = v
		l.add(fmt.Sprintf("authority/%q", v), header)
		l.add(fmt.Sprintf("authority/%q and Host", v), append(header[:4:4], pair{"host", "a.test"}))
		l.add(fmt.Sprintf("authority/Host %q beside it", v), get2(pair{"host", v}))
		l.add(fmt.Sprintf("authority/Host %q alone", v), []pair{{":method", "GET"}, {":scheme", "http"}, {":path", "/case"}, {"host", v}})
	}
	l.add("authority/Host twice", get2(pair{"host", "a.test"}, pair{"host", "a.test"}))
	l.add("authority/Host twice, different", get2(pair{"host", "a.test"}, pair{"host", "b.test"}))
	l.add("authority/Host twice, no authority", []pair{{":method", "GET"}, {":scheme", "http"}, {":path", "/case"}, {"host", "a.test"}, {"host", "b.test"}})
}

// fields2 vary names and values, and carry what HTTP/2 must not.
func fields2(l *list2) {
	for i := range len(special) {
		c := special[i : i+1]
		l.add(fmt.Sprintf("octet/%q in a name", c), get2(pair{"x" + c + "a", "b"}))
		l.add(fmt.Sprintf("octet/%q at the end of a name", c), get2(pair{"x-a" + c, "b"}))
		l.add(fmt.Sprintf("octet/%q as a name", c), get2(pair{c, "b"}))
		l.add(fmt.Sprintf("octet/%q in a value", c), get2(pair{"x-a", "b" + c + "c"}))
		l.add(fmt.Sprintf("octet/%q around a value", c), get2(pair{"x-a", c + "b" + c}))
		l.add(fmt.Sprintf("octet/%q in a trailer's name", c), post2(pair{"trailer", "x-a"}), part("hello"), trailer(pair{"x" + c + "a", "b"}))
		l.add(fmt.Sprintf("octet/%q in a trailer's value", c), post2(pair{"trailer", "x-a"}), part("hello"), trailer(pair{"x-a", "b" + c + "c"}))
	}
	for name, value := range pairs(
		"connection", "close", "connection", "keep-alive", "connection", "x-a", "connection", "", "connection", "host", "keep-alive", "5", "proxy-connection", "keep-alive", "upgrade", "h2c", "upgrade", "websocket", "transfer-encoding", "chunked", "transfer-encoding", "identity", "transfer-encoding", "", "transfer-encoding", "chunked, chunked", "transfer-encoding", "xchunked",
		"Transfer-Encoding", "chunked", "transfer_encoding", "chunked", "te", "", "te", "chunked", "te", "trailers, chunked", "te", "Trailers", "te", "trailers;q=1", "http2-settings", "AAMAAABk", "", "b", "expect", "100-continue", "expect", "x", "X-A", "b", "x-forwarded-for", "6.6.6.6", "x-forwarded-host", "b.test", "x-forwarded-proto", "https", "via", "1.0 x",
		"proxy-authorization", "x", "trailer", "host", "trailer", "", "pragma", "no-cache", "cookie", "", "cookie", "a\r\nb", "priority", "u=1", "x-a\r\nx-hidden", "1", "x-a: b\r\nx-hidden", "1", "x-a", "b\r\n\r\n"+Hidden, "content-type", "x", "range", "bytes=0-",
	) {
		l.add(fmt.Sprintf("field/%q: %.30q", name, value), get2(pair{name, value}))
		l.add(fmt.Sprintf("field/%q: %.30q with a body", name, value), post2(pair{name, value}), body("0\r\n\r\n"+Hidden))
		l.add(fmt.Sprintf("field/%q: %.30q with a length", name, value), post2(pair{"content-length", "5"}, pair{name, value}), body("hello"))
	}
	for _, n := range []int{5000, 16000, 40000, 100000} {
		l.frames(fmt.Sprintf("field/of %d", n), longHeaders(get2(pair{"x-a", strings.Repeat("b", n)}))...)
	}
}

// longHeaders is a header section in as many frames as it needs.
func longHeaders(header []pair) []rawFrame {
	text := block(header)
	frames := []rawFrame{{kind: kindHeaders, flags: endStream}}
	for len(text) > 16000 {
		frames[len(frames)-1].payload, text = text[:16000], text[16000:]
		frames = append(frames, rawFrame{kind: kindContinuation})
	}
	last := &frames[len(frames)-1]
	last.payload = text
	last.flags |= endHeaders
	return frames
}
