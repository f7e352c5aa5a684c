package corpus

import (
	"fmt"
	"strings"
)

// Answer is what a backend sends in place of an answer of HTTP/1.1.
type Answer struct {
	Name   string // unique
	Method string // of the request
	Raw    string // in which Nonce stands for what tells the request from all others
}

// Nonce stands in an answer for the mark of the request that it is for.
const Nonce = "{nonce}"

// Poison is an answer to nobody.
const Poison = "HTTP/1.1 200 OK\r\nX-Nonce: poison\r\nContent-Length: 6\r\n\r\npoison"

// Answers are all hostile answers, grouped by what they vary.
func Answers() []Answer {
	var l answers
	for _, group := range []func(*answers){statusLines, answerFields, answerFramings, answerChunks, bareAnswers, interims, switches, floods} {
		group(&l)
	}
	return l
}

type answers []Answer

func (l *answers) add(name, raw string) { *l = append(*l, Answer{name, "GET", raw}) }

func (l *answers) to(method, name, raw string) {
	*l = append(*l, Answer{name + " to " + method, method, raw})
}

// ok is the head of an answer with these field lines.
func ok(fields ...string) string {
	return head(append([]string{"HTTP/1.1 200 OK", "X-Nonce: " + Nonce}, fields...)...)
}

func statusLines(l *answers) {
	for _, line := range []string{
		"HTTP/1.1 200", "HTTP/1.1 200 ", "HTTP/1.0 200 OK", "HTTP/1.2 200 OK", "HTTP/2.0 200 OK", "HTTP/2 200", "HTTP/0.9 200 OK", "HTTP/1.10 200 OK", "http/1.1 200 OK", "ICY 200 OK", "HTTP/1.1  200 OK", "HTTP/1.1\t200 OK", " HTTP/1.1 200 OK", "HTTP/1.1 2000 OK", "HTTP/1.1 20 OK", "HTTP/1.1 099 OK", "HTTP/1.1 000 OK",
		"HTTP/1.1 600 OK", "HTTP/1.1 999 OK", "HTTP/1.1 -200 OK", "HTTP/1.1 +20 OK", "HTTP/1.1 0x20 OK", "HTTP/1.1 2OO OK", "HTTP/1.1 200OK", "HTTP/1.1 200\tOK", "HTTP/1.1 200 O\x00K", "HTTP/1.1 200 O\rK", "HTTP/1.1 200 OK\r", "HTTP/1.1 200 \xc3\xa9", "HTTP/1.1 200 " + strings.Repeat("x", 9000), "HTTP/1.1", "200 OK", "GET / HTTP/1.1", "", "\x00", "<html>",
	} {
		l.add(fmt.Sprintf("status/%.30q", line), head(line, "X-Nonce: "+Nonce, "Content-Length: 2")+"ok")
	}
	for _, before := range []string{"\r\n", "\n", "\r\n\r\n", " ", "\x00", "garbage\r\n", "0\r\n\r\n", "body of another"} {
		l.add(fmt.Sprintf("status/behind %q", before), before+ok("Content-Length: 2")+"ok")
	}
	l.add("status/HTTP/0.9", "<html>poison</html>")
	l.add("status/nothing", "")
	l.add("status/half a head", "HTTP/1.1 200 OK\r\nX-Nonce: "+Nonce+"\r\n")
}

func answerFields(l *answers) {
	for _, field := range []string{
		"X-A : b", "X-A\t: b", " X-A: b", "X-A: b\r\n c", "X-A: b\r\n\tContent-Length: 44", "X-A", ": b", "X A: b", "X(: b", "X-A: b\x00", "X-A: b\rX-B: c", "X-A: b\nX-B: c", "X-A: \x01", "X-A: \x7f", "X\x00: b", "\xc3\xa9: b", "X-A: \xc3\xa9", "X-Nonce: poison", "Set-Cookie: a=b\r\nSet-Cookie: c=d", "Connection: X-A", "Connection: Content-Length",
		"Connection: Transfer-Encoding", "Connection: close", "Connection: keep-alive", "Connection: upgrade", "Connection: Upgrade\r\nUpgrade: h2c", "Upgrade: websocket", "Keep-Alive: timeout=0", "Proxy-Connection: close", "TE: trailers", "Trailer: Content-Length", "Via: 1.1 x", "Server: x", "Date: x", "Alt-Svc: h2=\":1\"", "Content-Encoding: gzip", "Expect: 100-continue", "Status: 500", "X-Accel-Redirect: /x",
	} {
		l.add(fmt.Sprintf("field/%q", field), ok("X-B: c", field, "Content-Length: 2")+"ok"+Poison)
	}
}

// answerFramings put an answer to nobody where one reader may see it as a body, and another behind
// it.
func answerFramings(l *answers) {
	n := len(Poison)
	for _, v := range []string{
		"2", fmt.Sprint(n), "0", "+2", "-2", "0x2", "2, 2", "2, 3", "2,", "02", "2 ", "2\x00", "2 2", "", "a", "2.0", "99999999999999999999", "18446744073709551618", fmt.Sprintf("2\r\nContent-Length: %d", n), "2\r\nContent-Length: 2", fmt.Sprintf("%d\r\ncontent-length: 2", n), "2\r\nContent-Length : 9",
	} {
		l.add(fmt.Sprintf("length/%q", v), ok("Content-Length: "+v)+"ok"+Poison)
	}
	for _, v := range []string{
		"chunked", "Chunked", "xchunked", "identity", "gzip", "gzip, chunked", "chunked, gzip", "chunked, chunked", "chunked, identity", "identity, chunked", ", chunked", "chunked,", "", "chunked\x00", "\x0bchunked", "\"chunked\"", "chunked;a=b", "chunked\r\nTransfer-Encoding: chunked", "chunked\r\nTransfer-Encoding: identity", "chunked\r\n ", "chun\r\n ked",
	} {
		l.add(fmt.Sprintf("coding/%q", v), ok("Transfer-Encoding: "+v)+"2\r\nok\r\n0\r\n\r\n"+Poison)
		l.add(fmt.Sprintf("coding/%q and a length", v), ok("Transfer-Encoding: "+v, fmt.Sprintf("Content-Length: %d", 12+n))+"2\r\nok\r\n0\r\n\r\n"+Poison)
		l.add(fmt.Sprintf("coding/%q behind a length", v), ok("Content-Length: 2", "Transfer-Encoding: "+v)+"2\r\nok\r\n0\r\n\r\n"+Poison)
	}
	l.add("coding/in HTTP/1.0", strings.Replace(ok("Transfer-Encoding: chunked"), "1.1", "1.0", 1)+"2\r\nok\r\n0\r\n\r\n"+Poison)
	l.add("framing/none", ok()+"ok"+Poison)
	l.add("framing/short", ok("Content-Length: 9")+"ok")
	l.add("framing/two answers", ok("Content-Length: 2")+"ok"+ok("Content-Length: 2")+"ok")
	l.add("framing/three answers", ok("Content-Length: 2")+"ok"+Poison+Poison)
	l.add("framing/line behind", ok("Content-Length: 2")+"ok\r\n")
	l.add("framing/octet behind", ok("Content-Length: 2")+"ok!")
}

func answerChunks(l *answers) {
	for _, body := range []string{
		"2\r\nok\r\n0\r\n\r\n", "2\nok\n0\n\n", "2\r\nok\r\n0\r\n\n", "2\r\nok0\r\n\r\n", "2\r\nokay\r\n0\r\n\r\n", "+2\r\nok\r\n0\r\n\r\n", "-2\r\nok\r\n0\r\n\r\n", "0x2\r\nok\r\n0\r\n\r\n", " 2\r\nok\r\n0\r\n\r\n", "2 \r\nok\r\n0\r\n\r\n", "2;a=b\r\nok\r\n0\r\n\r\n", "2;a=\"\n\"\r\nok\r\n0\r\n\r\n", "2;\x00\r\nok\r\n0\r\n\r\n", "2,\r\nok\r\n0\r\n\r\n",
		"10000000000000002\r\nok\r\n0\r\n\r\n", "ffffffffffffffff\r\nok\r\n0\r\n\r\n", "fffffffffffffff2\r\nok\r\n0\r\n\r\n", "00000000000000000002\r\nok\r\n0\r\n\r\n", "\r\n2\r\nok\r\n0\r\n\r\n", "x\r\n", "2\r\nok\r\n", "2\r\nok\r\n0\r\n", "2\r\nok\r\n00\r\n\r\n", "2\r\nok\r\n-0\r\n\r\n", "0\r\n\r\n2\r\nok\r\n0\r\n\r\n",
		"2\r\nok\r\n0\r\nX-Sum: 2\r\n\r\n", "2\r\nok\r\n0\r\nX-Nonce: poison\r\n\r\n", "2\r\nok\r\n0\r\nContent-Length: 44\r\n\r\n", "2\r\nok\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n", "2\r\nok\r\n0\r\nConnection: close\r\n\r\n", "2\r\nok\r\n0\r\n X: y\r\n\r\n", "2\r\nok\r\n0\r\nX : y\r\n\r\n", "2\r\nok\r\n0\r\nX: y\n\r\n", "2\r\nok\r\n0\r\nX: y\x00\r\n\r\n", "2\r\nok\r\n0\r\nX\r\n\r\n", "2\r\nok\r\n0\r\nX: y\r\n z\r\n\r\n", "2\r\nok\r\n0\r\n" + strings.Repeat("X: y\r\n", 500) + "\r\n",
	} {
		l.add(fmt.Sprintf("chunks/%.40q", body), ok("Transfer-Encoding: chunked", "Trailer: X-Sum")+body+Poison)
	}
}

// bareAnswers have no body, whatever they say of its length.
func bareAnswers(l *answers) {
	for _, status := range []string{"204 No Content", "304 Not Modified", "205 Reset Content"} {
		for name, fields := range pairs("nothing", "X-A: b", "a length", "Content-Length: 64", "chunks", "Transfer-Encoding: chunked", "both", "Content-Length: 64\r\nTransfer-Encoding: chunked", "a length of nothing", "Content-Length: 0") {
			l.add("bare/"+status[:3]+" with "+name, head("HTTP/1.1 "+status, "X-Nonce: "+Nonce, fields)+Poison)
		}
	}
	for name, raw := range pairs(
		"a length", ok("Content-Length: 64")+Poison, "chunks", ok("Transfer-Encoding: chunked")+"2\r\nok\r\n0\r\n\r\n"+Poison, "nothing", ok()+Poison, "both", ok("Content-Length: 64", "Transfer-Encoding: chunked")+Poison, "exactly the head", ok("Content-Length: 64"), "a bad length", ok("Content-Length: x"), "close", ok("Connection: close")+Poison,
	) {
		l.to("HEAD", "bare/"+name, raw)
		l.to("POST", "bare/"+name, raw)
	}
}

func interims(l *answers) {
	final := ok("Content-Length: 2") + "ok"
	for name, before := range pairs(
		"100", "HTTP/1.1 100 Continue\r\n\r\n", "two 100", strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 2), "102", "HTTP/1.1 102 Processing\r\n\r\n", "103", "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", "199", "HTTP/1.1 199 x\r\n\r\n", "103 with length", "HTTP/1.1 103 x\r\nContent-Length: 64\r\n\r\n", "103 with chunks", "HTTP/1.1 103 x\r\nTransfer-Encoding: chunked\r\n\r\n",
		"103 with a nonce", "HTTP/1.1 103 x\r\nX-Nonce: "+Nonce+"\r\n\r\n", "103 with close", "HTTP/1.1 103 x\r\nConnection: close\r\n\r\n", "103 that is malformed", "HTTP/1.1 103 x\r\nX\r\n\r\n", "103 with NUL", "HTTP/1.1 103 x\r\nX: \x00\r\n\r\n", "103 in HTTP/1.0", "HTTP/1.0 103 x\r\n\r\n", "many 103", strings.Repeat("HTTP/1.1 103 x\r\nLink: </x>\r\n\r\n", 300), "103 and poison", "HTTP/1.1 103 x\r\n\r\npoison",
	) {
		l.add("interim/"+name, before+final)
		l.add("interim/"+name+" and nothing", before)
		l.to("POST", "interim/"+name, before+final+Poison)
		l.to("HEAD", "interim/"+name, before+ok("Content-Length: 2"))
	}
}

// switches change protocols, which nobody has asked for.
func switches(l *answers) {
	for name, fields := range pairs("nothing", "X-A: b", "websocket", "Connection: Upgrade\r\nUpgrade: websocket", "h2c", "Connection: Upgrade\r\nUpgrade: h2c", "no protocol", "Connection: Upgrade", "a length", "Content-Length: 64", "line break", "Connection: Upgrade\r\nUpgrade: a\rb") {
		raw := head("HTTP/1.1 101 Switching Protocols", "X-Nonce: "+Nonce, fields)
		l.add("switch/"+name, raw+Poison)
		l.to("POST", "switch/"+name, raw+Poison)
		l.to("HEAD", "switch/"+name, raw+Poison)
	}
	l.add("switch/426", head("HTTP/1.1 426 Upgrade Required", "X-Nonce: "+Nonce, "Connection: Upgrade", "Upgrade: h2c", "Content-Length: 2")+"ok"+Poison)
	l.add("switch/407", head("HTTP/1.1 407 x", "X-Nonce: "+Nonce, "Content-Length: 2")+"ok"+Poison)
	l.add("switch/408 unasked", ok("Content-Length: 2")+"ok"+head("HTTP/1.1 408 Request Timeout", "X-Nonce: poison", "Content-Length: 0", "Connection: close"))
}

func floods(l *answers) {
	l.add("flood/value", ok("X-A: "+strings.Repeat("b", 100_000), "Content-Length: 2")+"ok")
	l.add("flood/fields", ok(strings.Repeat("X-A: b\r\n", 20_000)+"Content-Length: 2")+"ok")
	l.add("flood/name", ok(strings.Repeat("X", 50_000)+": b", "Content-Length: 2")+"ok")
	l.add("flood/line", "HTTP/1.1 200 "+strings.Repeat("x", 100_000)+"\r\nX-Nonce: "+Nonce+"\r\n\r\n")
	l.add("flood/extensions", ok("Transfer-Encoding: chunked")+strings.Repeat("1;"+strings.Repeat("a", 1000)+"\r\nx\r\n", 100)+"0\r\n\r\n")
	l.add("flood/behind", ok("Content-Length: 2")+"ok"+strings.Repeat(Poison, 1000))
}
