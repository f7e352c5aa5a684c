package corpus

import (
	"fmt"
	"strings"
)

// nominations vary Connection, and name fields by it that must stay, or must not come back.
func nominations(l *list) {
	for _, v := range []string{
		"close", "Close", "CLOSE", "close, X-A", "X-A, close", "keep-alive", "Keep-Alive, close", "Host", "host", "Content-Length", "Transfer-Encoding", "X-Forwarded-For", "x-forwarded-for", "X-Forwarded-Proto", "X-Forwarded-Host", "Forwarded", "Via", "Cookie", "Authorization", "Connection", "Trailer", "TE", "Upgrade", "Expect", "Content-Type", "Cache-Control", "Date", "X-A", "X-A, X-B",
		"x-a ,\tx-b", ",", "", " ", "X-A,", ",,X-A", "\"X-A\"", "X A", "X-A;q=1", "clos", "closed", "close\x00", "close x", "close;", "\"close\"", "close\x0b", "X-A\x00", "X(", "*", "HTTP2-Settings", "Proxy-Connection", "Keep-Alive", "Early-Data", "User-Agent", strings.Repeat("X-A, ", 300) + "X-B", "Content-Length, Transfer-Encoding, Host, X-Forwarded-For",
	} {
		name := fmt.Sprintf("nominated/%.40q", v)
		fields := []string{"Connection: " + v, "X-A: b", "X-B: c", "Keep-Alive: timeout=5", "Proxy-Connection: keep-alive", "TE: trailers, deflate"}
		l.add(name, get(fields...))
		l.add(name+" of POST", post("hello"+Hidden, append(fields, "Content-Length: 5")...))
		l.add(name+" of chunks", chunked("5\r\nhello\r\n0\r\n\r\n"+Hidden, fields...))
		l.add(name+" in two lines", get(append(fields, "connection: X-C", "X-C: d")...))
		l.add(name+" in HTTP/1.0", head("GET /case HTTP/1.0", "Host: a.test", "Connection: "+v, "X-A: b")+Hidden)
	}
	for _, field := range []string{
		"X-Forwarded-For: 6.6.6.6", "x-forwarded-for: 6.6.6.6", "X-Forwarded-For:", "X_Forwarded_For: 6.6.6.6", "X-Forwarded-Proto: https", "X-Forwarded-Host: evil.test", "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 7.7.7.7", "Forwarded: for=6.6.6.6", "Via: 1.0 x", "Keep-Alive: 5", "Proxy-Connection: close", "Proxy-Authorization: x", "TE: chunked", "TE: trailers", "TE: trailers;q=0", "TE:", "Trailer: Host",
		"X-HTTP-Method-Override: DELETE", "X-Method-Override: DELETE", "X-HTTP-Method: DELETE", "X-Original-URL: /hidden", "X-Rewrite-URL: /hidden", "Early-Data: 1", "Max-Forwards: 0", "Range: bytes=0-", "If-None-Match: *", "Content-Type: multipart/form-data; boundary=x", "Alt-Svc: h2", "Date: x", "HTTP2-Settings: AAMAAABk", "Sec-WebSocket-Key: x", "Content-Range: bytes 0-4/5", "Pragma: no-cache", "User-Agent:", "Accept-Encoding: gzip",
	} {
		l.add(fmt.Sprintf("field/%.60q", field), get(field))
		l.add(fmt.Sprintf("field/%.60q with a body", field), post("hello"+Hidden, field, "Content-Length: 5"))
	}
}

func expectations(l *list) {
	for _, v := range []string{"100-continue", "100-Continue", "100-CONTINUE", "100-continue, 100-continue", "100-continue, x", "x, 100-continue", "100-continue;a=b", "100", "100-continue\x00", " 100-continue\t", "", "x", "200-ok", "100-continue\r\nExpect: x", "\"100-continue\"", "100-continued"} {
		name := fmt.Sprintf("expect/%q", v)
		l.add(name, post("hello"+Hidden, "Expect: "+v, "Content-Length: 5"))
		l.add(name+" in chunks", chunked("5\r\nhello\r\n0\r\n\r\n"+Hidden, "Expect: "+v))
		l.add(name+" without a body", get("Expect: "+v))
		l.add(name+" with length and chunks", chunked("0\r\n\r\n"+Hidden, "Expect: "+v, "Content-Length: 45"))
		l.add(name+" in HTTP/1.0", head("POST /case HTTP/1.0", "Host: a.test", "Connection: keep-alive", "Expect: "+v, "Content-Length: 5")+"hello"+Hidden)
	}
}

func upgrades(l *list) {
	for _, v := range []string{"websocket", "WebSocket", "h2c", "H2C", "h2c, websocket", "websocket, h2c", "h2", "TLS/1.0", "HTTP/2.0", "HTTP/1.1", "x", "", ",", "websocket\x00", "websocket\r\nUpgrade: h2c", "\"websocket\"", "web socket", "connect-udp", "websocket;a=b"} {
		for _, connection := range []string{"Upgrade", "upgrade, HTTP2-Settings", "keep-alive, Upgrade", "close", "X-A"} {
			name := fmt.Sprintf("upgrade/%q by %q", v, connection)
			fields := []string{"Connection: " + connection, "Upgrade: " + v, "HTTP2-Settings: AAMAAABkAAQAAP__", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13"}
			l.add(name, get(fields...)+Hidden)
			if connection != "Upgrade" {
				continue
			}
			l.add(name+" with a body", post("hello"+Hidden, append(fields, "Content-Length: 5")...))
			l.add(name+" in chunks", chunked("5\r\nhello\r\n0\r\n\r\n"+Hidden, fields...))
			l.add(name+" in HTTP/1.0", head("GET /case HTTP/1.0", "Host: a.test", "Connection: keep-alive, Upgrade", "Upgrade: "+v)+Hidden)
		}
		l.add(fmt.Sprintf("upgrade/%q without Connection", v), get("Upgrade: "+v)+Hidden)
	}
}

// methods give each method a body in each framing, and none.
func methods(l *list) {
	for _, m := range []string{"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "CONNECT", "PROPFIND", "SEARCH", "QUERY", "PURGE", "PRI", "BREW", "get", "post"} {
		for _, target := range []string{"/case", "*", "b.test:80"} {
			for name, fields := range pairs("none", "X-A: b", "length", "Content-Length: 5", "chunks", "Transfer-Encoding: chunked", "length of nothing", "Content-Length: 0", "close", "Connection: close") {
				body := map[string]string{"length": "hello", "chunks": "5\r\nhello\r\n0\r\n\r\n"}[name]
				l.add("body/"+m+" "+target+" with "+name, head(m+" "+target+" HTTP/1.1", "Host: a.test", fields)+body+Hidden)
			}
		}
		for name, fields := range pairs("length", "Content-Length: 5", "chunks", "Transfer-Encoding: chunked") {
			l.add("body/"+m+" with half of "+name, head(m+" /case HTTP/1.1", "Host: a.test", fields)+"3\r\n")
		}
	}
}

func longRequests(l *list) {
	for _, n := range []int{1000, 4000, 4096, 5000, 9000, 40000} {
		long := strings.Repeat("a", n)
		l.add(fmt.Sprintf("long/target of %d", n), head("GET /"+long+" HTTP/1.1", "Host: a.test"))
		l.add(fmt.Sprintf("long/query of %d", n), head("GET /case?"+long+" HTTP/1.1", "Host: a.test"))
		l.add(fmt.Sprintf("long/value of %d", n), get("X-A: "+long))
		l.add(fmt.Sprintf("long/name of %d", n), get(long+": b"))
		l.add(fmt.Sprintf("long/fields of %d", n), get(strings.Repeat("X-A: b\r\n", n/8)+"X-B: c"))
		l.add(fmt.Sprintf("long/blanks of %d", n), get("X-A:"+strings.Repeat(" ", n)+"b"))
		l.add(fmt.Sprintf("long/host of %d", n), head("GET /case HTTP/1.1", "Host: "+long))
		l.add(fmt.Sprintf("long/method of %d", n), head(long+" /case HTTP/1.1", "Host: a.test"))
		l.add(fmt.Sprintf("long/body of %d", n), post(long+Hidden, fmt.Sprintf("Content-Length: %d", n)))
		l.add(fmt.Sprintf("long/chunk of %d", n), chunked(fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", n, long)+Hidden))
		l.add(fmt.Sprintf("long/folds of %d", n), get("X-A: b"+strings.Repeat("\r\n c", n/4)))
	}
}
