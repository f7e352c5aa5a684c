// Package syntax is the words of HTTP/1.1 that requests and answers have in common: octets, tokens, and names and values of
// fields (RFC 9110, section 5).
package syntax
