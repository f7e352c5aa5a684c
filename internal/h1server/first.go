package h1server

import (
	"bufio"
	"net/http"
	"reflect"
	"strings"
)

// IsInDoubt reports whether a request that net/http has read may have had its length in two ways,
// of which somebody on the way may have taken the other one. net/http deletes the field that it
// does not follow, and goes on with the connection, which must end with such a request (RFC 9112,
// section 6.1): one with Content-Length and Transfer-Encoding, or with Transfer-Encoding in
// HTTP/1.0.
func IsInDoubt(r *http.Request) bool {
	return r.ProtoMajor == 1 && (len(r.TransferEncoding) > 0 || r.ProtoMinor == 0 && !r.Close)
}

// EndAfter has a server of net/http close the connection after the answer to a request that is in
// doubt.
func EndAfter(w http.ResponseWriter, r *http.Request) {
	if IsInDoubt(r) {
		w.Header().Set("Connection", "close")
	}
}

// firstIsAmbiguous reports whether the connection has to end with its first request, which net/http
// has read by way of br.
func firstIsAmbiguous(r *http.Request, br *bufio.Reader) bool {
	if !IsInDoubt(r) {
		return false
	}
	head := consumedHead(r, br)
	return head == nil || isAmbiguous(r, head)
}

// consumedHead is the head of a connection's first request as it came, which br has read and handed
// out. It is still in br's memory as long as it came at once, which a bufio.Reader has no method
// for. It is nil where it cannot be had.
func consumedHead(r *http.Request, br *bufio.Reader) []byte {
	v := reflect.ValueOf(br).Elem()
	buf, used := v.FieldByName("buf"), v.FieldByName("r")
	if !buf.IsValid() || buf.Type() != reflect.TypeFor[[]byte]() || !used.IsValid() || !used.CanInt() {
		return nil
	}
	p, n := buf.Bytes(), used.Int()
	if n < 0 || n > int64(len(p)) {
		return nil
	}
	head := p[:n]
	// The first line is there only if nothing of the head has made room for what came later.
	line, _, ok := strings.Cut(string(head), "\n")
	if !ok || strings.TrimSuffix(line, "\r") != r.Method+" "+r.RequestURI+" "+r.Proto {
		return nil
	}
	return head
}
