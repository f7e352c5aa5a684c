-- A token bucket as GCRA, the generic cell rate algorithm (ITU-T I.371, annex A; ATM Forum TM 4.0, 4.4.2): one number for a key, when
-- the bucket is full again. Times are microseconds since a day near to ours, so that a float has a fraction to spare.
--
-- KEYS[1]; ARGV: events, window, burst. Returns allowed, remaining, retry after, reset.
local time = redis.call('TIME')
local now = (time[1] - 1700000000) * 1000000 + time[2]
local interval = ARGV[2] / ARGV[1]
local depth = interval * ARGV[3]

local full = tonumber(redis.call('GET', KEYS[1])) or now
if not (full > now) then
	full = now
elseif full > now + depth then
	full = now + depth -- the limit was made stricter, or the clock was set back
end

local after = full + interval - now
if after > depth + interval / 1000 then
	return {0, 0, math.ceil(after - depth), math.ceil(full - now)}
end
redis.call('SET', KEYS[1], string.format('%.17g', now + after), 'PX', math.max(1, math.ceil(after / 1000)))
return {1, math.max(0, math.floor((depth - after) / interval + 0.001)), 0, math.ceil(after)}
