package filter

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddylb/caddy-lb/lb"
)

// errRateLimited is what caddyhttp.Error would make, without the name and place that lb_proxy gives to errors of filters: refusing has to be
// cheap.
var errRateLimited error = caddyhttp.HandlerError{
	StatusCode: http.StatusTooManyRequests,
	Err:        errors.New("the client has sent too many requests"),
}

// Request implements [RequestFilter].
func (f *RateLimit) Request(x *Context) (answered bool, err error) {
	key := f.key.of(x)
	if key == "" {
		return false, nil
	}
	s := f.state
	taken := f.take(x, key)
	if taken.Allowed {
		s.results.add(allowed)
	}
	if f.DryRun {
		if !taken.Allowed {
			f.wouldRefuse(x, s)
		}
		return false, nil
	}
	announce(x.Writer.Header(), f.limitField, taken)
	if taken.Allowed {
		return false, nil
	}
	s.results.add(refused)
	x.Writer.Header()["Retry-After"] = []string{numberText(max(seconds(taken.RetryAfter), 1))}
	return false, errRateLimited
}

// wouldRefuse is for a dry run. The log gets the client's address but not the key, which may be a secret.
func (f *RateLimit) wouldRefuse(x *Context, s *rateState) {
	s.results.add(dryRun)
	if n := s.toLog(f.clock()); n > 0 {
		client, _ := caddyhttp.GetVar(x.Request.Context(), caddyhttp.ClientIPVarKey).(string)
		f.logger.Info("dry run: requests would have been refused", zap.String("limit", s.label), zap.Uint64("requests", n),
			zap.String("client_ip", client))
	}
}

// announce sets the fields that tell what is left, unless an earlier limit that leaves less has set them. The three values share an allocation.
func announce(header http.Header, limit string, taken lb.Taken) {
	if earlier := header["Ratelimit-Remaining"]; len(earlier) > 0 {
		if n, err := strconv.ParseInt(earlier[0], 10, 64); err == nil && n < taken.Remaining {
			return
		}
	}
	values := new([3]string)
	values[0] = limit
	values[1], values[2] = numberTexts(taken.Remaining, seconds(taken.Reset))
	header["Ratelimit-Limit"] = values[0:1:1]
	header["Ratelimit-Remaining"] = values[1:2:2]
	header["Ratelimit-Reset"] = values[2:3:3]
}

// seconds rounds up to whole ones.
func seconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }

// smallNumbers are the texts of the numbers that most answers tell.
var smallNumbers = func() (texts [1024]string) {
	for i := range texts {
		texts[i] = strconv.Itoa(i)
	}
	return texts
}()

// numberText is a number's text.
func numberText(n int64) string {
	if 0 <= n && n < int64(len(smallNumbers)) {
		return smallNumbers[n]
	}
	return strconv.FormatInt(n, 10)
}

// numberTexts are the texts of two numbers, in one allocation at most.
func numberTexts(a, b int64) (textA, textB string) {
	small := int64(len(smallNumbers))
	if a < small || b < small {
		return numberText(a), numberText(b)
	}
	var buf [40]byte
	digits := strconv.AppendInt(buf[:0], a, 10)
	n := len(digits)
	both := string(strconv.AppendInt(digits, b, 10))
	return both[:n], both[n:]
}
