package corpus

import (
	"fmt"
	"maps"
	"slices"
)

// lengths2 vary Content-Length against what the DATA frames have.
func lengths2(l *list2) {
	for _, v := range lengthValues() {
		field := pair{"content-length", v}
		l.add(fmt.Sprintf("length/%q", v), post2(field), body("hello"))
		l.add(fmt.Sprintf("length/%q in parts", v), post2(field), part("hel"), part("lo"), body(""))
		l.add(fmt.Sprintf("length/%q and more behind", v), post2(field), part("hello"), body(Hidden))
		l.add(fmt.Sprintf("length/%q without data", v), get2(field))
		l.add(fmt.Sprintf("length/%q behind 5", v), post2(pair{"content-length", "5"}, field), body("hello"))
		l.add(fmt.Sprintf("length/%q and trailers", v), post2(field, pair{"trailer", "x-sum"}), part("hello"), trailer(pair{"x-sum", "5"}))
	}
}

func trailers2(l *list2) {
	for name, value := range pairs(
		"x-sum", "5", "X-Sum", "5", "", "5", "content-length", "99", "transfer-encoding", "chunked", "host", "b.test", "connection", "close", "te", "trailers", "trailer", "x", "upgrade", "h2c", "x-forwarded-for", "6.6.6.6", "forwarded", "for=6.6.6.6", "via", "1.1 x", "cookie", "a=b", "x-sum", "5\r\nx-hidden: 1",
		"x-sum\r\nx-hidden", "1", "x-sum: 5", "1", "x-sum ", "5", " x-sum", "5", "x-sum", " 5", ":path", "/hidden", ":status", "200", "expect", "100-continue", "keep-alive", "5",
	) {
		field := pair{name, value}
		l.add(fmt.Sprintf("trailers/%q: %q", name, value), post2(), part("hello"), trailer(field))
		l.add(fmt.Sprintf("trailers/%q: %q announced", name, value), post2(pair{"trailer", "x-sum, content-length, transfer-encoding, host, x-forwarded-for, forwarded, via, connection"}, pair{"te", "trailers"}), part("hello"), trailer(field))
		l.add(fmt.Sprintf("trailers/%q: %q behind a length", name, value), post2(pair{"content-length", "5"}), part("hello"), trailer(field))
		l.add(fmt.Sprintf("trailers/%q: %q behind half a length", name, value), post2(pair{"content-length", "9"}), part("hello"), trailer(field))
		l.add(fmt.Sprintf("trailers/%q: %q at once", name, value), post2(), trailer(field))
	}
	l.add("trailers/none", post2(), part("hello"), trailer())
	l.add("trailers/without end", post2(), part("hello"), headersFrame([]pair{{"x-sum", "5"}}, false))
	l.add("trailers/without end, then data", post2(), part("hello"), headersFrame([]pair{{"x-sum", "5"}}, false), body("more"))
	l.add("trailers/twice", post2(), part("hello"), headersFrame([]pair{{"x-sum", "5"}}, false), trailer(pair{"x-sum", "6"}))
	l.add("trailers/a second request", post2(), part("hello"), headersFrame(get2(), true))
	l.add("trailers/a second request without end", post2(), headersFrame(get2(), false), body("x"))
}

// connects2 vary CONNECT, plain and extended (RFC 9113, section 8.5; RFC 8441).
func connects2(l *list2) {
	connect := pair{":method", "CONNECT"}
	headers := map[string][]pair{
		"authority":              {connect, {":authority", "b.test:80"}},
		"authority without port": {connect, {":authority", "b.test"}},
		"no authority":           {connect},
		"host alone":             {connect, {"host", "b.test:80"}},
		"with scheme":            {connect, {":scheme", "http"}, {":authority", "b.test:80"}},
		"with path":              {connect, {":authority", "b.test:80"}, {":path", "/case"}},
		"with all":               {connect, {":scheme", "http"}, {":authority", "b.test:80"}, {":path", "/case"}},
		"with length":            {connect, {":authority", "b.test:80"}, {"content-length", "5"}},
		"line break":             {connect, {":authority", "b.test:80\r\nx-hidden: 1"}},
		"space":                  {connect, {":authority", "b.test:80 HTTP/1.1"}},
		"protocol unknown":       {connect, {":protocol", "x"}, {":scheme", "http"}, {":authority", "a.test"}, {":path", "/case"}},
		"protocol empty":         {connect, {":protocol", ""}, {":scheme", "http"}, {":authority", "a.test"}, {":path", "/case"}},
		"protocol, no path":      {connect, {":protocol", "websocket"}, {":scheme", "http"}, {":authority", "a.test"}},
		"protocol, no scheme":    {connect, {":protocol", "websocket"}, {":authority", "a.test"}, {":path", "/case"}},
		"protocol of GET":        append([]pair{{":protocol", "websocket"}}, get2()...),
		"protocol behind":        {connect, {":scheme", "http"}, {":authority", "a.test"}, {":path", "/case"}, {"x-a", "b"}, {":protocol", "websocket"}},
		"protocol field":         {connect, {":scheme", "http"}, {":authority", "a.test"}, {":path", "/case"}, {"protocol", "websocket"}},
		"protocol h2c":           {connect, {":protocol", "h2c"}, {":scheme", "http"}, {":authority", "a.test"}, {":path", "/case"}},
		"protocol line break":    {connect, {":protocol", "websocket\r\nx-hidden: 1"}, {":scheme", "http"}, {":authority", "a.test"}, {":path", "/case"}},
	}
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		header := headers[name]
		l.add("connect/"+name, header)
		l.add("connect/"+name+" with data", header, part(Hidden))
		l.add("connect/"+name+" with all data", header, body(Hidden))
	}
}

// frames2 vary how a request is cut into frames.
func frames2(l *list2) {
	whole := block(get2(pair{"x-a", "b"}))
	for _, at := range []int{0, 1, 2, 8, 9, 10, len(whole) - 1, len(whole)} {
		l.frames(fmt.Sprintf("frames/continuation at %d", at), rawFrame{kind: kindHeaders, flags: endStream, payload: whole[:at]}, rawFrame{kind: kindContinuation, flags: endHeaders, payload: whole[at:]})
		l.frames(fmt.Sprintf("frames/continuation at %d, then nothing", at), rawFrame{kind: kindHeaders, flags: endStream, payload: whole[:at]}, rawFrame{kind: kindContinuation, payload: whole[at:]}, rawFrame{kind: kindContinuation, flags: endHeaders})
		l.frames(fmt.Sprintf("frames/cut at %d", at), rawFrame{kind: kindHeaders, flags: endStream | endHeaders, payload: whole[:at]})
	}
	for _, pad := range []byte{0, 1, 5, 200, 255} {
		padding := string(make([]byte, pad))
		l.frames(fmt.Sprintf("frames/headers padded by %d", pad), rawFrame{kind: kindHeaders, flags: endStream | endHeaders | padded, payload: string([]byte{pad}) + whole + padding})
		l.frames(fmt.Sprintf("frames/headers said to be padded by %d", pad), rawFrame{kind: kindHeaders, flags: endStream | endHeaders | padded, payload: string([]byte{pad}) + whole})
		l.add(fmt.Sprintf("frames/data padded by %d", pad), post2(), rawFrame{kind: kindData, flags: endStream | padded, payload: string([]byte{pad}) + "hello" + padding})
		l.add(fmt.Sprintf("frames/data padded by %d, with length", pad), post2(pair{"content-length", "5"}), rawFrame{kind: kindData, flags: endStream | padded, payload: string([]byte{pad}) + "hello" + padding})
		l.add(fmt.Sprintf("frames/data said to be padded by %d", pad), post2(), rawFrame{kind: kindData, flags: endStream | padded, payload: string([]byte{pad}) + "hello"})
	}
	sequences2(l, whole)
}

// sequences2 vary the order of frames.
func sequences2(l *list2, whole string) {
	head, ended := headersFrame(post2(), false), headersFrame(get2(), true)
	open := rawFrame{kind: kindHeaders, flags: endStream, payload: whole[:20]}
	rest := rawFrame{kind: kindContinuation, flags: endHeaders, payload: whole[20:]}
	frames := map[string][]rawFrame{
		"data behind the end":              {ended, body(Hidden)},
		"headers behind the end":           {ended, headersFrame(get2(), true)},
		"trailers behind the end":          {ended, trailer(pair{"x-sum", "5"})},
		"data behind the end of data":      {head, body("hello"), body(Hidden)},
		"no end":                           {head, part("hello")},
		"no end, with length":              {headersFrame(post2(pair{"content-length", "5"}), false), part("hello")},
		"no end and no data":               {head},
		"no end of GET":                    {headersFrame(get2(), false)},
		"reset":                            {head, part("hello"), {kind: 3, payload: "\x00\x00\x00\x08"}},
		"reset behind the end":             {ended, {kind: 3, payload: "\x00\x00\x00\x08"}},
		"data behind a reset":              {head, {kind: 3, payload: "\x00\x00\x00\x08"}, body("hello")},
		"data within headers":              {open, body("x"), rest},
		"another stream within headers":    {open, {kind: kindHeaders, flags: endStream | endHeaders, distance: 2, payload: block(get2())}, rest},
		"continuation of another stream":   {open, {kind: kindContinuation, flags: endHeaders, distance: 2, payload: whole[20:]}},
		"continuation alone":               {{kind: kindContinuation, flags: endHeaders, payload: whole}},
		"continuation behind the end":      {ended, {kind: kindContinuation, flags: endHeaders, payload: block([]pair{{"x-a", "b"}})}},
		"ping within headers":              {open, {kind: kindPing, payload: "12345678"}, rest},
		"unknown frame within headers":     {open, {kind: 0xbb, payload: "x"}, rest},
		"unknown frame":                    {{kind: 0xbb, payload: "x"}, ended},
		"data of no stream":                {{kind: kindData, flags: endStream, payload: Hidden}},
		"headers of an even stream":        {{kind: kindHeaders, flags: endStream | endHeaders, distance: 1, payload: block(get2())}},
		"headers with priority":            {{kind: kindHeaders, flags: endStream | endHeaders | withPriority, payload: "\x00\x00\x00\x00\x10" + whole}},
		"headers too short for priority":   {{kind: kindHeaders, flags: endStream | endHeaders | withPriority, payload: "\x00\x00"}},
		"headers padded and with priority": {{kind: kindHeaders, flags: endStream | endHeaders | withPriority | padded, payload: "\x02\x00\x00\x00\x00\x10" + whole + "\x00\x00"}},
		"a broken block":                   {{kind: kindHeaders, flags: endStream | endHeaders, payload: "\xff\xff\xff\xff\xff\xff"}},
		"an index of nothing":              {{kind: kindHeaders, flags: endStream | endHeaders, payload: "\xfe"}},
		"an empty block":                   {{kind: kindHeaders, flags: endStream | endHeaders}},
		"an empty block and data":          {{kind: kindHeaders, flags: endHeaders}, body("x")},
		"an answer":                        {headersFrame([]pair{{":status", "200"}}, true)},
		"a push promise":                   {{kind: 5, flags: endHeaders, payload: "\x00\x00\x00\x02" + whole}},
		"a settings frame on the stream":   {{kind: 4}, ended},
		"a window of nothing":              {head, {kind: 8, payload: "\x00\x00\x00\x00"}, body("hello")},
		"a window of everything":           {head, {kind: 8, payload: "\x7f\xff\xff\xff"}, body("hello")},
		"many empty data frames":           append([]rawFrame{head}, append(emptyData(200), body("hello"))...),
	}
	for _, name := range slices.Sorted(maps.Keys(frames)) {
		l.frames("frames/"+name, frames[name]...)
	}
}

func emptyData(n int) []rawFrame { return make([]rawFrame, n) }
