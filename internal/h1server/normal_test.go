package h1server

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http/httputil"
	"slices"
	"strconv"
	"strings"
)

// headMark is a field of answers to HEAD, for whoever reads them without knowing of the requests.
const headMark = "X-To: HEAD"

// normal writes answers, all that came on a connection, in a form in which equal ones are equal: field lines sorted, without the time,
// and bodies without their chunks' borders, which are nobody's business. What is not an answer is kept as it is.
func normal(raw []byte) string {
	var out strings.Builder
	br := bufio.NewReader(bytes.NewReader(raw))
	for {
		if _, err := br.Peek(1); err != nil {
			return out.String()
		}
		if normalAnswer(&out, br) == malformed {
			rest, _ := io.ReadAll(br)
			fmt.Fprintf(&out, "malformed, then %q\n", rest)
			return out.String()
		}
	}
}

// wholeAnswers counts the answers, but interim ones, that are there from the first to the last byte.
func wholeAnswers(raw []byte) int {
	var out strings.Builder
	br := bufio.NewReader(bytes.NewReader(raw))
	for n := 0; ; {
		status, _ := br.Peek(len("HTTP/1.1 1"))
		switch normalAnswer(&out, br) {
		case whole:
			if !bytes.HasSuffix(status, []byte(" 1")) || bytes.Contains(raw, []byte("101 Switching")) {
				n++
			}
		default:
			return n
		}
	}
}

// What is to be said of an answer: whether it is there from the first to the last byte.
const (
	malformed = iota
	cut
	whole
)

// normalAnswer writes one answer.
func normalAnswer(out *strings.Builder, br *bufio.Reader) int {
	status, fields, ok := normalHead(br)
	fmt.Fprintf(out, "%s\n%s", status, lines(fields))
	if !ok || len(status) < 12 {
		return malformed
	}
	var length *int64
	chunked := false
	for _, f := range fields {
		if value, ok := strings.CutPrefix(f, "Content-Length: "); ok {
			n, err := strconv.ParseInt(value, 10, 64)
			if err != nil || n < 0 {
				return malformed
			}
			length = &n
		}
		chunked = chunked || f == "Transfer-Encoding: chunked"
	}
	code := status[9:12]
	switch {
	case code[0] == '1', code == "204", code == "304", slices.Contains(fields, headMark):
	case chunked:
		return normalChunks(out, br)
	case length != nil:
		body, _ := io.ReadAll(io.LimitReader(br, *length))
		writeBody(out, body)
		if n := int64(len(body)); n < *length {
			fmt.Fprintf(out, "cut off after %d\n", n)
			return cut
		}
	default:
		body, _ := io.ReadAll(br)
		writeBody(out, body)
		return cut // or there is more to come
	}
	return whole
}

func normalChunks(out *strings.Builder, br *bufio.Reader) int {
	body, err := io.ReadAll(httputil.NewChunkedReader(br))
	writeBody(out, body)
	if err == io.ErrUnexpectedEOF {
		fmt.Fprintln(out, "cut off")
		return cut
	}
	if err != nil {
		return malformed
	}
	var trailers []string
	for {
		line, err := br.ReadString('\n')
		if err != nil {
			return cut
		}
		if line == "\r\n" {
			slices.Sort(trailers)
			out.WriteString(lines(trailers))
			return whole
		}
		trailers = append(trailers, "trailer "+strings.TrimSuffix(line, "\r\n"))
	}
}

// normalHead reads a head. Every line has to end with CRLF.
func normalHead(br *bufio.Reader) (status string, fields []string, ok bool) {
	for {
		line, err := br.ReadString('\n')
		line, ok = strings.CutSuffix(line, "\r\n")
		switch {
		case err != nil || !ok:
			return status + line, fields, false
		case status == "":
			status = line
			continue
		case line == "":
			slices.Sort(fields)
			return status, fields, true
		case strings.HasPrefix(line, "Date: ") && len(line) == len("Date: Mon, 02 Jan 2006 15:04:05 GMT"):
			line = "Date: now"
		}
		fields = append(fields, line)
	}
}

func lines(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return strings.Join(list, "\n") + "\n"
}

func writeBody(out *strings.Builder, body []byte) {
	if len(body) > 2000 {
		fmt.Fprintf(out, "body of %d, hash %.6x\n", len(body), sha256.Sum256(body))
		return
	}
	fmt.Fprintf(out, "body %q\n", body)
}
