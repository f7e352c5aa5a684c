package filter

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// requestRate is how many requests there may be in which time.
type requestRate struct {
	events int64
	window time.Duration
}

// rateUnits are the times that have a name in a rate.
var rateUnits = map[string]time.Duration{
	"s": time.Second, "sec": time.Second, "second": time.Second,
	"m": time.Minute, "min": time.Minute, "minute": time.Minute,
	"h": time.Hour, "hour": time.Hour,
	"d": 24 * time.Hour, "day": 24 * time.Hour,
}

// parseRate reads <n>/<s|m|h|d|duration>.
func parseRate(text string) (requestRate, error) {
	const usage = "write a number of requests and a time, such as 10/s, 100/m or 5/10s"
	count, unit, ok := strings.Cut(text, "/")
	if !ok {
		return requestRate{}, fmt.Errorf("'%s' is no rate: %s", text, usage)
	}
	events, err := strconv.ParseUint(count, 10, 63)
	if err != nil {
		return requestRate{}, fmt.Errorf("'%s' is no rate, since '%s' is no whole number: %s", text, count, usage)
	}
	if events == 0 {
		return requestRate{}, fmt.Errorf("the rate '%s' lets nothing through: %s; to refuse every request write 'respond 429' instead", text, usage)
	}
	window, ok := rateUnits[unit]
	if !ok {
		if window, err = caddy.ParseDuration(unit); err != nil || window <= 0 {
			return requestRate{}, fmt.Errorf("'%s' is no rate, since '%s' is no time above 0: %s", text, unit, usage)
		}
	}
	return requestRate{int64(events), window}, nil
}

// String is the rate as parseRate reads it.
func (r requestRate) String() string {
	unit := r.window.String()
	switch r.window {
	case time.Second:
		unit = "s"
	case time.Minute:
		unit = "m"
	case time.Hour:
		unit = "h"
	}
	return strconv.FormatInt(r.events, 10) + "/" + unit
}
