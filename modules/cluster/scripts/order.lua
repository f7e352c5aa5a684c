-- Stores what an operator decided, if nothing newer is there, and tells everyone. Redis's clock says what is newer.
--
-- KEYS[1] is the hash; ARGV: channel, field, value, age of the order in microseconds, whether it was never sent before, version (0 for an
-- order that has none yet). Returns what holds: "<version> <value>".
local time = redis.call('TIME')
local stored = redis.call('HGET', KEYS[1], ARGV[2])
local newest = stored and tonumber(string.match(stored, '^(%d+) ')) or 0
if newest > 9007199254740992 then
	newest = 0 -- nobody's version: a float counts no further
end
local version = tonumber(ARGV[6])
if version == 0 then
	version = time[1] * 1000000 + time[2] - ARGV[4]
	if version <= newest and ARGV[5] == '1' then
		version = newest + 1 -- of two that come at once, or from behind a clock that was set back, the later one holds
	end
end
if version <= newest then
	return stored
end
local holds = string.format('%.0f ', version) .. ARGV[3]
redis.call('HSET', KEYS[1], ARGV[2], holds)
redis.call('PUBLISH', ARGV[1], holds .. ' ' .. ARGV[2])
return holds
