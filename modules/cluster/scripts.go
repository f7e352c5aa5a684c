package cluster

import (
	_ "embed"

	"github.com/gomodule/redigo/redis"
)

// Each script is one atomic step on one key, by Redis's own clock. They need Redis 5, whose scripts may write after they asked for the
// time, or anything that speaks like it.
var (
	//go:embed scripts/bucket.lua
	bucketSource string
	//go:embed scripts/sliding.lua
	slidingSource string
	//go:embed scripts/order.lua
	orderSource string
	//go:embed scripts/orders.lua
	ordersSource string

	bucketScript  = newScript(bucketSource)
	slidingScript = newScript(slidingSource)
	orderScript   = newScript(orderSource)
	ordersScript  = newScript(ordersSource)
)

// script is known to Redis by its hash once it was sent in full. Both are kept as redigo takes them.
type script struct {
	source, hash any
}

func newScript(source string) *script {
	return &script{source: source, hash: redis.NewScript(1, source).Hash()}
}
