package strict

// Rule is a requirement of an RFC, which it names.
type Rule string

// The rules of messages.
const (
	LineEnd     Rule = "RFC 9112, 2.2: lines end with CRLF"
	FirstBlank  Rule = "RFC 9112, 2.2: no white space before the first field"
	FirstLine   Rule = "RFC 9112, 2.2: a message begins with its first line"
	RequestLine Rule = "RFC 9112, 3: request-line = method SP request-target SP HTTP-version"
	Version     Rule = "RFC 9112, 2.3: HTTP-version"
	Major       Rule = "RFC 9110, 2.5: the major version is 1"
	Method      Rule = "RFC 9110, 9.1: method = token"
	TargetForm  Rule = "RFC 9112, 3.2: one of the four forms of a request-target"
	TargetChars Rule = "RFC 9112, 3.2: no white space in a request-target, and what RFC 3986 has"
	Asterisk    Rule = "RFC 9112, 3.2.4: the asterisk form is for OPTIONS"
	Scheme      Rule = "RFC 9110, 4.2: the scheme is http or https"
	UserInfo    Rule = "RFC 9110, 4.2.4: no userinfo"
	ConnectForm Rule = "RFC 9112, 3.2.3: CONNECT has the authority form, nothing else has"
	HostOnce    Rule = "RFC 9112, 3.2: not more than one Host"
	HostMissing Rule = "RFC 9112, 3.2: HTTP/1.1 has Host"
	HostValue   Rule = "RFC 9110, 7.2: Host = uri-host [ \":\" port ]"

	FieldColon Rule = "RFC 9112, 5: field-line = field-name \":\" OWS field-value OWS"
	NameSpace  Rule = "RFC 9112, 5.1: no white space between name and colon"
	FieldName  Rule = "RFC 9110, 5.1: field-name = token"
	FieldValue Rule = "RFC 9110, 5.5: no control characters in a field-value, CR included"
	Fold       Rule = "RFC 9112, 5.2: no obs-fold"

	CodingInOld    Rule = "RFC 9112, 6.1: no Transfer-Encoding in HTTP/1.0"
	Coding         Rule = "RFC 9112, 6.1: the only transfer coding is chunked, once"
	TwoFramings    Rule = "RFC 9112, 6.2: no Content-Length beside Transfer-Encoding"
	Length         Rule = "RFC 9110, 8.6: Content-Length = 1*DIGIT"
	OneLength      Rule = "RFC 9112, 6.3: one Content-Length"
	ConnectContent Rule = "RFC 9110, 9.3.6: CONNECT has no content"

	ChunkSize  Rule = "RFC 9112, 7.1: chunk-size = 1*HEXDIG"
	ChunkLine  Rule = "RFC 9112, 7.1: a chunk's line ends with CRLF and has no controls"
	Extension  Rule = "RFC 9112, 7.1.1: chunk-ext"
	ChunkEnd   Rule = "RFC 9112, 7.1: CRLF follows a chunk's data"
	TrailerEnd Rule = "RFC 9112, 7.1: lines of the trailer section end with CRLF"

	StatusLine   Rule = "RFC 9112, 4: status-line = HTTP-version SP status-code SP [ reason-phrase ]"
	StatusCode   Rule = "RFC 9110, 15: a status code is from 100 to 599"
	NoLength     Rule = "RFC 9110, 8.6: no Content-Length in 1xx and 204"
	NoCoding     Rule = "RFC 9112, 6.1: no Transfer-Encoding in 1xx and 204, nor to HTTP/1.0"
	InterimToOld Rule = "RFC 9110, 15.2: no 1xx to HTTP/1.0"
	Unasked      Rule = "RFC 9112, 9.2: one answer to each request"
	AfterLast    Rule = "RFC 9112, 9.6: nothing follows an answer with close"
)

// The rules of HTTP/2.
const (
	Preface       Rule = "RFC 9113, 3.4: a connection begins with its preface"
	FrameOrder    Rule = "RFC 9113, 6.10: nothing between HEADERS and its CONTINUATION frames"
	FrameSize     Rule = "RFC 9113, 4.2: a frame has the size of its type"
	FrameStream   Rule = "RFC 9113, 5.1.1: streams of clients are odd and rising"
	Padding       Rule = "RFC 9113, 6.1: padding is within its frame"
	Compression   Rule = "RFC 9113, 4.3: a field block that can be decoded"
	ClosedStream  Rule = "RFC 9113, 5.1: nothing behind END_STREAM"
	TrailersEnd   Rule = "RFC 9113, 8.1: a trailer section ends the stream"
	Name2         Rule = "RFC 9113, 8.2.1: a field name is a token in lower case"
	Value2        Rule = "RFC 9113, 8.2.1: a field value without controls, nor blanks around it"
	Connection2   Rule = "RFC 9113, 8.2.2: no field that concerns a connection"
	TE2           Rule = "RFC 9113, 8.2.2: TE is trailers"
	PseudoOrder   Rule = "RFC 9113, 8.3: pseudo-header fields come first"
	PseudoOnce    Rule = "RFC 9113, 8.3: a pseudo-header field occurs once"
	PseudoKnown   Rule = "RFC 9113, 8.3: the pseudo-header fields of a request, and none in trailers"
	PseudoMissing Rule = "RFC 9113, 8.3.1: :method, :scheme and :path, :authority for CONNECT"
	Path2         Rule = "RFC 9113, 8.3.1: :path begins with a slash, or is * for OPTIONS"
	Authority2    Rule = "RFC 9113, 8.3.1: :authority and Host are the same"
	Length2       Rule = "RFC 9113, 8.1.1: the content is as long as Content-Length says"
)
