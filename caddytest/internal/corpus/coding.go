package corpus

import "fmt"

// codingLines are Transfer-Encoding in all the ways in which one reader may see chunked and another
// not.
func codingLines() []string {
	lines := []string{
		"Transfer-Encoding : chunked", "Transfer-Encoding\t: chunked", "Transfer-Encoding\x00: chunked", "Transfer-Encoding\x0b: chunked", "Transfer-Encoding\xa0: chunked", " Transfer-Encoding: chunked", "\tTransfer-Encoding: chunked", "\x0bTransfer-Encoding: chunked", "\x00Transfer-Encoding: chunked",
		"Transfer-Encoding:chunked", "transfer-encoding: chunked", "TRANSFER-ENCODING: chunked", "tRANSFER-eNCODING: chunked", "Transfer_Encoding: chunked", "Transfer Encoding: chunked", "Transfer--Encoding: chunked", "X-Transfer-Encoding: chunked", "Transfer-Encoding chunked", "Transfer-Encoding=chunked",
		"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked", "Transfer-Encoding: x\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked\r\nTransfer-Encoding: x", "Transfer-Encoding:\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked\r\nTransfer-Encoding:",
		"Transfer-Encoding: chunked\r\ntransfer-encoding: chunked", "Transfer-Encoding: chunked\nTransfer-Encoding: identity", "X-A: b\nTransfer-Encoding: chunked", "X-A: b\rTransfer-Encoding: chunked", "X-A: b\r\r\nTransfer-Encoding: chunked", "X-A: b\r\n\tTransfer-Encoding: chunked", "X-A: b\r\n Transfer-Encoding: chunked", "Transfer-Encoding:\r\n chunked", "Transfer-Encoding:\r\n\tchunked", "Transfer-Encoding: chunked\r\n ", "Transfer-Encoding: chunked\r\n , identity", "Transfer-Encoding: chun\r\n ked", "Transfer-Encoding: x,\r\n chunked",
		"Transfer-Encoding\r\n: chunked", "Transfer-\r\nEncoding: chunked", "Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked", "Connection: transfer-encoding, close\r\nTransfer-Encoding: chunked", "TE: chunked", "TE: trailers\r\nTransfer-Encoding: chunked", "Content-Encoding: chunked", "\"Transfer-Encoding\": chunked",
	}
	for _, v := range []string{
		"chunked", "Chunked", "CHUNKED", "cHuNkEd", " chunked", "\tchunked", "chunked\t", "chunked ", "\x0bchunked", "chunked\x0b", "\x0cchunked", "chunked\x00", "\x00chunked", "\xa0chunked", "chunked\xa0", "chunked\r", "\rchunked", "chunked\r\t", "xchunked", "chunkedx", "x-chunked", "chunke", "chunk", "chunked,", ",chunked", ", chunked", "chunked, ", ",,chunked,,", ",", "",
		"chunked,chunked", "chunked, chunked", "chunked, identity", "identity, chunked", "identity", "gzip", "gzip, chunked", "chunked, gzip", "deflate, chunked", "compress, chunked", "x, chunked", "chunked, x", "br, chunked", "chunked chunked", "identity chunked", "chunked;", "chunked;q=1", "chunked; q=0", "chunked;a=b", "chunked; foo=\"bar, chunked\"", "x;a=\"b, chunked\"", "\"chunked\"", "'chunked'", "(chunked)", "<chunked>", "[chunked]", "chunked(x)", "chun\tked", "chun ked", "chun\x00ked", "chu\rnked", "\\chunked", "chunked\\", "chunked=", "=chunked", "chunked/1.1", "chunked:", ":chunked", "chunked.", "%63hunked", "ch\xc3\xbcnked", "chunked\xff", "\ufeffchunked", "0", "false", "none", "trailers",
	} {
		lines = append(lines, "Transfer-Encoding: "+v)
	}
	return lines
}

// codings vary Transfer-Encoding, alone and beside Content-Length, in either order. Read in chunks
// the body ends before what is hidden, and by its length behind it, or the other way round.
func codings(l *list) {
	const ends = "0\r\n\r\n"
	long := fmt.Sprintf("Content-Length: %d", len(ends)+len(Hidden))
	inChunk := fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(Hidden), Hidden)
	for _, line := range codingLines() {
		name := fmt.Sprintf("%.70q", line)
		l.add("coding/"+name, post(ends+Hidden, line))
		l.add("coding/"+name+" behind a long length", post(ends+Hidden, long, line))
		l.add("coding/"+name+" before a long length", post(ends+Hidden, line, long))
		l.add("coding/"+name+" and a short length", post(inChunk, "Content-Length: 4", line))
		l.add("coding/"+name+" before a length of nothing", post(inChunk, line, "Content-Length: 0"))
		l.add("coding/"+name+" in HTTP/1.0", head("POST /case HTTP/1.0", "Host: a.test", "Connection: keep-alive", long, line)+ends+Hidden)
	}
	for _, line := range []string{"Transfer-Encoding: chunked", "Transfer-Encoding: identity", "Transfer-Encoding: xchunked", "Transfer-Encoding: chunked, chunked"} {
		for _, method := range []string{"GET", "HEAD", "DELETE", "OPTIONS", "TRACE", "PUT", "CONNECT", "BREW"} {
			l.add(fmt.Sprintf("coding/%q of %s", line, method), head(method+" /case HTTP/1.1", "Host: a.test", line)+ends+Hidden)
			l.add(fmt.Sprintf("coding/%q of %s and a length", line, method), head(method+" /case HTTP/1.1", "Host: a.test", line, long)+ends+Hidden)
		}
		for _, v := range []string{"5", "5, 5", "5,6", "+5", "-5", "", "x", "0x5", "99999999999999999999"} {
			l.add(fmt.Sprintf("coding/%q and length %q", line, v), post(ends+Hidden, "Content-Length: "+v, line))
		}
		l.add(fmt.Sprintf("coding/%q in HTTP/1.0 alone", line), head("POST /case HTTP/1.0", "Host: a.test", "Connection: keep-alive", line)+ends+Hidden)
		l.add(fmt.Sprintf("coding/%q in HTTP/1.0 with close", line), head("POST /case HTTP/1.0", "Host: a.test", line, long)+ends+Hidden)
	}
}
