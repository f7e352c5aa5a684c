// Package strict reads HTTP messages to the letter of RFC 9110, 9112 and 9113. It is the judge of
// what the proxy writes and of what it takes for a request, so it shares no code with it, nor with
// net/http.
//
// A reader accepts what the grammar has and nothing else. An RFC lets recipients accept a little
// more in some places; each of these is an [Ease], which the caller allows by name and finds in the
// message that needed it.
package strict
