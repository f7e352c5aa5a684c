package lbproxy

import "net/http"

// addAnswer adds to dst what the client gets of an answer's header.
func (ex *exchange) addAnswer(dst http.Header, res *http.Response) {
	addEndToEnd(dst, res.Header)
	if res.StatusCode == http.StatusUpgradeRequired && ex.in.ProtoMajor == 1 {
		// Upgrade concerns one connection only, but 426 is nothing without it (RFC 9110, section
		// 15.5.22).
		if upgrade := res.Header["Upgrade"]; len(upgrade) > 0 {
			dst["Upgrade"] = upgrade
		}
	}
}

// nominateUpgrade has Connection name the Upgrade field of an answer, if there is one (RFC 9110,
// section 7.8). HTTP/1.0 has another use for Connection.
func (ex *exchange) nominateUpgrade(header http.Header) {
	switch {
	case len(header["Upgrade"]) == 0 || ex.in.ProtoMajor != 1 || ex.in.ProtoMinor < 1:
	case ex.in.Close:
		header["Connection"] = closeAndUpgrade()
	default:
		header["Connection"] = []string{"Upgrade"}
	}
}

// closeAndUpgrade are options of Connection, each a line of its own: net/http looks for the first
// alone. The slice is new each time, as other handlers may change values in place.
func closeAndUpgrade() []string { return []string{"close", "Upgrade"} }

// leaveUntyped keeps servers from making up a Content-Type where the backend gave none. What to
// take such a body for is the client's to decide (RFC 9110, section 8.3).
func leaveUntyped(header http.Header) {
	if _, ok := header["Content-Type"]; !ok {
		header["Content-Type"] = nil
	}
}
