-- Fixes the system's format and shard count at first start.
-- KEYS 1 the system record   ARGV 1 format, 2 shard count
-- Returns the format and the shard count in force: the given ones, or those that were fixed before.
redis.call('HSETNX', KEYS[1], 'format', ARGV[1])
redis.call('HSETNX', KEYS[1], 'shards', ARGV[2])
return redis.call('HMGET', KEYS[1], 'format', 'shards')
