package cluster

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"

	"github.com/gomodule/redigo/redis"
)

// cause is why a call had no answer.
type cause int

const (
	causeAway     cause = iota // known to be away, so that nobody was asked
	causeTimeout               // no answer in time
	causeBusy                  // too many calls wait already
	causeLost                  // the connection was lost meanwhile
	causeRefused               // Redis answers no commands of this kind now
	causeError                 // Redis has something against this command
	causeProtocol              // an answer that makes no sense
	causeCanceled              // who asked did not wait
	numCauses
)

// String is the cause as in the metrics.
func (c cause) String() string {
	return [numCauses]string{"away", "timeout", "busy", "lost", "refused", "error", "protocol", "canceled"}[c]
}

// failures counts them.
type failures [numCauses]atomic.Uint64

func (f *failures) count(c cause) { f[c].Add(1) }

// causeOf tells what an error of a call means for later ones.
func causeOf(ctx context.Context, err error) cause {
	var refused redis.Error
	switch {
	case errors.Is(err, errTimeout):
		return causeTimeout
	case errors.Is(err, errQueue):
		return causeBusy
	case errors.As(err, &refused):
		// ERR and WRONGTYPE are about one command or key; LOADING, READONLY, OOM, NOAUTH, BUSY and their kin about all.
		if strings.HasPrefix(string(refused), "ERR") || strings.HasPrefix(string(refused), "WRONGTYPE") {
			return causeError
		}
		return causeRefused
	case ctx.Err() != nil:
		return causeCanceled
	default:
		return causeLost
	}
}
