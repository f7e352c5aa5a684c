-- Reads all orders, and forgets those that were taken back so long ago that everybody knows.
--
-- KEYS[1] is the hash; ARGV: how long to remember, in microseconds. Returns fields and values in turn.
local time = redis.call('TIME')
local oldest = time[1] * 1000000 + time[2] - ARGV[1]
local all, kept = redis.call('HGETALL', KEYS[1]), {}
for i = 1, #all, 2 do
	local version = tonumber(string.match(all[i + 1], '^(%d+) $'))
	if version and version < oldest then
		redis.call('HDEL', KEYS[1], all[i])
	else
		kept[#kept + 1], kept[#kept + 2] = all[i], all[i + 1]
	end
end
return kept
