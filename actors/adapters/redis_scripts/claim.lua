-- Fixes the system's format and shard count at first start, and raises a format that is still read to the given one.
-- KEYS 1 the system record   ARGV 1 format, 2 the oldest format that is read, 3 shard count
-- Returns the format and the shard count in force: the given ones, or those that were fixed before.
redis.call('HSETNX', KEYS[1], 'format', ARGV[1])
redis.call('HSETNX', KEYS[1], 'shards', ARGV[3])
local stored = tonumber(redis.call('HGET', KEYS[1], 'format'))
if stored and stored >= tonumber(ARGV[2]) and stored < tonumber(ARGV[1]) then
  redis.call('HSET', KEYS[1], 'format', ARGV[1])
end
return redis.call('HMGET', KEYS[1], 'format', 'shards')
