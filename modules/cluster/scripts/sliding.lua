-- A sliding window: a log of what was allowed, as the total and pairs of time and count, packed into one string. Events of one grain
-- are one pair and bear the time at which the grain ends, so that the log is short and never allows more than it should.
--
-- KEYS[1]; ARGV: events, window, grain (0 for none). Returns allowed, remaining, retry after, reset. Times are as in bucket.lua.
local time = redis.call('TIME')
local now = (time[1] - 1700000000) * 1000000 + time[2]
local events, window, grain = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])

local log = redis.call('GET', KEYS[1]) or ''
local total, first, last = 0, 9, #log - 15
if #log % 16 ~= 8 or #log < 24 or struct.unpack('>d', log, last) > now + 2 * window then
	log = '' -- nothing yet, not ours, or the clock was set back
else
	total = struct.unpack('>d', log)
end

while first < #log do
	local t, n = struct.unpack('>dd', log, first)
	if t + window > now then
		break
	end
	total, first = total - n, first + 16
end
if first > #log then
	log, total, first = '', 0, 9
end

if total + 1 > events then
	local over, free = total + 1 - events, now
	while over > 0 and first < #log do
		local t, n = struct.unpack('>dd', log, first)
		over, free, first = over - n, t, first + 16
	end
	return {0, 0, math.ceil(free + window - now), math.ceil(struct.unpack('>d', log, last) + window - now)}
end

local t, n, kept = now, 0, #log
if grain > 0 then
	t = (math.floor(now / grain) + 1) * grain
end
if log ~= '' then
	local before, count = struct.unpack('>dd', log, last)
	if before >= t then
		t, n, kept = before, count, #log - 16
	end
end
local reset = t + window - now
redis.call('SET', KEYS[1], struct.pack('>d', total + 1) .. string.sub(log, first, kept) .. struct.pack('>dd', t, n + 1),
	'PX', math.ceil(reset / 1000))
return {1, events - total - 1, 0, math.ceil(reset)}
