package lbproxy

import (
	"net/http"
	"strconv"
	"strings"
)

// grpcStatuses are the codes of gRPC that say something bad of the backend, as the statuses of HTTP that mean the same (Envoy's
// mapping). Others are the caller's doing, or say that there is nothing of the kind.
var grpcStatuses = map[int]int{
	2:  http.StatusInternalServerError, // unknown
	4:  http.StatusGatewayTimeout,      // deadline exceeded
	13: http.StatusInternalServerError, // internal
	14: http.StatusServiceUnavailable,  // unavailable
	15: http.StatusInternalServerError, // data loss
}

// noteGRPC takes the outcome of a gRPC call into account, which the answer's trailer has, or its header when that is all there is;
// HTTP's status is 200. It is called when the answer is complete.
func (a *attempt) noteGRPC() {
	res := a.res
	if res.ProtoMajor < 2 || !strings.HasPrefix(res.Header.Get("Content-Type"), "application/grpc") {
		return
	}
	text := res.Trailer.Get("Grpc-Status")
	if text == "" {
		text = res.Header.Get("Grpc-Status")
	}
	if code, err := strconv.Atoi(text); err == nil {
		a.try.GRPC = grpcStatuses[code]
	}
}
