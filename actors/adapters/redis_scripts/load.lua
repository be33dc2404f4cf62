-- Reads actors' records at one instant. A script, since a transaction's commands are refused when memory runs out.
-- KEYS 1 the set of dedicated actors, 2 bases, 3 snapshots, 4 data keys, 5.. their event lists
-- ARGV their addresses, then those of their homes
-- Returns {which homes are dedicated (0, 1), bases, snapshots, data keys, events...}.
local actors = #KEYS - 4
local found = {
  redis.call('SMISMEMBER', KEYS[1], unpack(ARGV, actors + 1)),
  redis.call('HMGET', KEYS[2], unpack(ARGV, 1, actors)),
  redis.call('HMGET', KEYS[3], unpack(ARGV, 1, actors)),
  redis.call('HMGET', KEYS[4], unpack(ARGV, 1, actors)),
}
for k = 5, #KEYS do found[k] = redis.call('LRANGE', KEYS[k], 0, -1) end
return found
