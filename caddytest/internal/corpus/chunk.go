package corpus

import (
	"fmt"
	"strings"
)

// chunkSizes are lines before a chunk of five bytes, without their end.
func chunkSizes() []string {
	return []string{
		"5", "05", "0005", strings.Repeat("0", 15) + "5", strings.Repeat("0", 16) + "5", strings.Repeat("0", 200) + "5", "+5", "-5", "-0", "0x5", "0X5", "x5", "5x", "5h", "5g", "0b5", "\\x5", "%35", "$5", "#5", "\"5\"", "'5'", "(5)", "5_0", "0_5", "5.", "5.0", "5,5", "5, 5", ",5", "5e0",
		" 5", "\t5", "\x0b5", "\x005", "5 ", "5\t", "5  ", "5\x0b", "5\x0c", "5\x00", "5\xa0", "5 5", "5\t5", "5 x", "5\r", "5\r5", "\r5", "5\x7f", "５", "٥", "", " ", "\t", ";", ";a", " ;a", "5;", "5; ", "5 ;", "5;;", "5;a", "5; a", "5 ; a", "5;a=", "5;a=b", "5;a=b;c=d", "5;a =b", "5;a= b", "5\t;\ta\t=\tb",
		"5;a=\"b\"", "5;a=\"b", "5;a=b\"", "5;a=\"b;c\"", "5;a=\"b\\\"c\"", "5;a=\"\\", "5;a=\"\x00\"", "5;\x00", "5;a=\x01", "5;a\x7f", "5;\xff", "5;a=\"\xff\"", "5;=b", "5;a b", "5;a=b c", "5;(", "5;a=\"b\"c", "5;a;", "5;\"a\"", "5;a=\rb", "5;a\r", "5;a=\"\r\"", "5;0", "5;\r\n", "5,a", "5:a", "5=a", "5&a", "5/a",
		"100000000000000005", "FFFFFFFFFFFFFFFF", "ffffffffffffffff5", "fffffffffffffffb", "8000000000000005", "7FFFFFFFFFFFFFFF", "10000000000000000", "100000005", "80000005", "0000000000000000000000005", "00000000000000000000000000000000000000000000000000000000000000000", "5" + strings.Repeat("0", 40),
		"5;" + strings.Repeat("a", 5000), "5" + strings.Repeat(" ", 5000), "5;a=\"" + strings.Repeat("b", 5000) + "\"", "A", "a", "4", "6", "0",
	}
}

// chunkLines vary the line before the first chunk, the second, and the last.
func chunkLines(l *list) {
	for _, size := range chunkSizes() {
		name := fmt.Sprintf("%.40q", size)
		l.add("chunk/"+name, chunked(size+"\r\nhello\r\n0\r\n\r\n"+Hidden))
		l.add("chunk/"+name+" as the second", chunked("5\r\nhello\r\n"+size+"\r\nworld\r\n0\r\n\r\n"+Hidden))
		if strings.HasPrefix(strings.TrimLeft(size, " \t+-0x\"'("), "5") {
			last := strings.Replace(size, "5", "0", 1)
			l.add("chunk/"+fmt.Sprintf("%.40q", last)+" as the last", chunked("5\r\nhello\r\n"+last+"\r\n\r\n"+Hidden))
		}
	}
	for _, end := range lineEndings() {
		name := fmt.Sprintf("%q", end)
		l.add("chunk end/"+name+" behind the size", chunked("5"+end+"hello\r\n0\r\n\r\n"+Hidden))
		l.add("chunk end/"+name+" behind an extension", chunked("5;a=b"+end+"hello\r\n0\r\n\r\n"+Hidden))
		l.add("chunk end/"+name+" behind the data", chunked("5\r\nhello"+end+"0\r\n\r\n"+Hidden))
		l.add("chunk end/"+name+" behind the last size", chunked("5\r\nhello\r\n0"+end+"\r\n"+Hidden))
		l.add("chunk end/"+name+" behind all", chunked("5\r\nhello\r\n0\r\n"+end+Hidden))
		l.add("chunk end/"+name+" in an extension", chunked("5;a=\""+end+"b\"\r\nhello\r\n0\r\n\r\n"+Hidden))
		l.add("chunk end/"+name+" everywhere", chunked("5"+end+"hello"+end+"0"+end+end+Hidden))
	}
}

// lineEndings are what may be taken for the end of a line.
func lineEndings() []string {
	return []string{"\n", "\r", "\r\r\n", "\r\r", "\n\r", "\n\n", "\r\n\r\n", "\r\n\n", "\n\r\n", "\r\n\r", " \r\n", "\t\r\n", "\x00\r\n", "\r\x00\n", "\r \n", "\r\t\n", "\x0b", "\x0c", "\x85", "\u2028", "\\r\\n", "\r\n ", "\r\n\t", "\x00", "\x0b\r\n", "\xc4\x8d\xc4\x8a", "", "\n ", "\r\n\x00"}
}

// chunkBodies vary what the chunks are put together from.
func chunkBodies(l *list) {
	size := fmt.Sprintf("%x", len(Hidden))
	for name, body := range pairs(
		"data too long", "3\r\nhello\r\n0\r\n\r\n", "data too short", "7\r\nhello\r\n0\r\n\r\n", "no end of data", "5\r\nhello0\r\n\r\n", "no last chunk", "5\r\nhello\r\n", "no last line", "5\r\nhello\r\n0\r\n", "nothing", "", "only CRLF", "\r\n\r\n", "hidden for a size", Hidden, "hidden in data too long", "0"+size+"\r\nx"+Hidden+"\r\n0\r\n\r\n",
		"last chunk first", "0\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "zero in the middle", "5\r\nhello\r\n0\r\n5\r\nworld\r\n0\r\n\r\n", "zeros", "00000\r\n\r\n", "zero with spaces", "0 \r\n\r\n", "zero with extension", "0;a=b\r\n\r\n", "zero with a quoted end", "0;a=\"\r\n\r\n\"\r\n\r\n", "minus zero", "-0\r\n\r\n", "zero x", "0x\r\n\r\n", "zero x zero", "0x0\r\n\r\n",
		"data behind the last", "0\r\nhello\r\n\r\n", "extra CRLF", "5\r\nhello\r\n0\r\n\r\n\r\n", "extra CRLF twice", "5\r\nhello\r\n0\r\n\r\n\r\n\r\n", "empty line between", "5\r\nhello\r\n\r\n0\r\n\r\n", "empty line before", "\r\n5\r\nhello\r\n0\r\n\r\n", "blank line before", " \r\n5\r\nhello\r\n0\r\n\r\n", "size in another line", "5\r\n\r\nhello\r\n0\r\n\r\n",
		"binary data", "5\r\n\x00\xff\r\n\n\r\n0\r\n\r\n", "CRLF as data", "2\r\n\r\n\r\n0\r\n\r\n", "zero chunk as data", "5\r\n0\r\n\r\n\r\n0\r\n\r\n", "upper hex", "A\r\n0123456789\r\n0\r\n\r\n", "lower hex", "a\r\n0123456789\r\n0\r\n\r\n", "many small", strings.Repeat("1\r\nx\r\n", 200)+"0\r\n\r\n", "many extensions", strings.Repeat("1;abc=def\r\nx\r\n", 100)+"0\r\n\r\n",
		"long", "8000\r\n"+strings.Repeat("x", 0x8000)+"\r\n0\r\n\r\n", "length with two fives", "5\n5\r\nhello\r\n0\r\n\r\n", "answer as chunk", "f\r\nHTTP/1.1 200 OK\r\n0\r\n\r\n", "percent", "%35\r\nhello\r\n0\r\n\r\n", "BOM", "\ufeff5\r\nhello\r\n0\r\n\r\n",
	) {
		l.add("chunks/"+name, chunked(body+Hidden))
		l.add("chunks/"+name+" of GET", get("Transfer-Encoding: chunked")+body+Hidden)
		l.add("chunks/"+name+" beside a length", chunked(body+Hidden, fmt.Sprintf("Content-Length: %d", len(body)+len(Hidden))))
	}
}

// trailers vary the fields behind the last chunk.
func trailers(l *list) {
	for name, section := range pairs(
		"none", "", "one", "X-Sum: 5\r\n", "lower", "x-sum: 5\r\n", "two", "X-Sum: 5\r\nX-B: c\r\n", "twice", "X-Sum: 5\r\nX-Sum: 6\r\n", "empty value", "X-Sum:\r\n", "length", "Content-Length: 99\r\n", "coding", "Transfer-Encoding: chunked\r\n", "host", "Host: evil.test\r\n", "trailer", "Trailer: X-B\r\n", "connection", "Connection: close\r\n", "upgrade", "Upgrade: websocket\r\n",
		"te", "TE: trailers\r\n", "forwarded for", "X-Forwarded-For: 6.6.6.6\r\n", "forwarded proto", "X-Forwarded-Proto: https\r\n", "forwarded host", "X-Forwarded-Host: evil.test\r\n", "forwarded", "Forwarded: for=6.6.6.6\r\n", "via", "Via: 1.1 x\r\n", "real ip", "X-Real-IP: 6.6.6.6\r\n", "authorization", "Authorization: Basic eA==\r\n", "cookie", "Cookie: a=b\r\n", "expect", "Expect: 100-continue\r\n", "keep-alive", "Keep-Alive: 5\r\n", "proxy-connection", "Proxy-Connection: close\r\n",
		"leading space", " X-Sum: 5\r\n", "leading tab", "\tX-Sum: 5\r\n", "blank line", " \r\n", "folded", "X-Sum: 5\r\n 6\r\n", "folded to nothing", "X-Sum:\r\n \r\n", "folded hidden", "X-Sum: 5\r\n GET /hidden HTTP/1.1\r\n", "bare LF", "X-Sum: 5\n", "LF first", "\n", "LF LF", "X-Sum: 5\n\n", "CR", "X-Sum: 5\r", "CR in value", "X-Sum: 5\r6\r\n", "CR first", "\r", "NUL", "X-Sum: \x00\r\n", "control", "X-Sum: \x01\r\n", "DEL", "X-Sum: \x7f\r\n",
		"no colon", "X-Sum\r\n", "space before colon", "X-Sum : 5\r\n", "tab before colon", "X-Sum\t: 5\r\n", "no name", ": 5\r\n", "space in name", "X Sum: 5\r\n", "paren in name", "X(: 5\r\n", "NUL in name", "X\x00: 5\r\n", "not ASCII name", "X\xc3\xa9: 5\r\n", "not ASCII value", "X-Sum: \xc3\xa9\r\n", "pseudo", ":path: /hidden\r\n", "request line", "GET /hidden HTTP/1.1\r\n", "request line with colon", "GET /hidden: HTTP/1.1\r\n", "chunk", "5\r\nhello\r\n0\r\n",
		"length with space", "Content-Length : 99\r\n", "underscore", "Content_Length: 99\r\n", "long", "X-Sum: "+strings.Repeat("a", 2000)+"\r\n", "too long", "X-Sum: "+strings.Repeat("a", 9000)+"\r\n", "many", strings.Repeat("X-Sum: 5\r\n", 100), "quoted", "X-Sum: \"\r\n", "VT", "X-Sum: \x0b5\r\n", "VT first", "\x0bX-Sum: 5\r\n", "CRLF LF", "X-Sum: 5\r\n\n", "CR CRLF", "X-Sum: 5\r\r\n",
	) {
		l.add("trailers/"+name, chunked("5\r\nhello\r\n0\r\n"+section+"\r\n"+Hidden))
		l.add("trailers/"+name+" announced", chunked("5\r\nhello\r\n0\r\n"+section+"\r\n"+Hidden, "TE: trailers",
			"Trailer: X-Sum, X-B, Content-Length, Transfer-Encoding, Host, Connection, X-Forwarded-For, X-Forwarded-Proto, Forwarded, Via, Upgrade"))
		l.add("trailers/"+name+" without chunks", chunked("0\r\n"+section+"\r\n"+Hidden, "Trailer: X-Sum"))
	}
	for _, v := range []string{"", ",", "X-Sum,", "X Sum", "X-Sum\x00", "Content-Length", "Host", "*", "X-Sum\r\nTrailer: X-B", "\"X-Sum\"", strings.Repeat("a,", 500), "X-Sum: 5"} {
		l.add(fmt.Sprintf("trailers/named %.40q", v), chunked("5\r\nhello\r\n0\r\nX-Sum: 5\r\n\r\n", "Trailer: "+v))
		l.add(fmt.Sprintf("trailers/named %.40q of a body with length", v), post("hello"+Hidden, "Content-Length: 5", "Trailer: "+v))
	}
}
