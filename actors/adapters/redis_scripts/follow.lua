-- Reads a shard's stream: up to so many entries beyond a sequence.
-- KEYS 1 the pooled owner record, which counts the entries, 2 the stream   ARGV 1 after, 2 limit
-- Returns {the sequence of the first entry returned, entries...}.
local position = tonumber(redis.call('HGET', KEYS[1], 'position') or 0)
local first = position - redis.call('LLEN', KEYS[2]) + 1
local from = math.max(first, ARGV[1] + 1)
return {from, unpack(redis.call('LRANGE', KEYS[2], from - first, from - first + ARGV[2] - 1))}
