-- Drops the entries of a shard's stream up to a sequence.
-- KEYS 1 the pooled owner record, which counts the entries, 2 the stream   ARGV 1 through
-- Returns the sequence of the first entry that is left, or would be.
local position = tonumber(redis.call('HGET', KEYS[1], 'position') or 0)
local first = position - redis.call('LLEN', KEYS[2]) + 1
local through = math.min(tonumber(ARGV[1]), position)
if through < first then return first end
redis.call('LTRIM', KEYS[2], through - first + 1, -1)
return through + 1
