// Package corpus makes requests and answers that readers of HTTP may take for different messages:
// whatever the grammar of RFC 9112 and 9113 has at its borders, and what lies beyond. It says
// nothing of what has to come of them; that is for a reader of the RFCs to judge. The lists are the
// same each time.
package corpus
