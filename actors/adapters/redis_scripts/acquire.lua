-- Takes a cell over: a new epoch, and `owner` is the only one who can commit.
-- KEYS 1 the cell's owner record; for a dedicated cell also 2 the pooled owner record, 3 the set of dedicated actors
-- ARGV 1 owner; for a dedicated cell also 2 its actor
-- Returns {epoch, last commit number}.
if KEYS[2] and redis.call('SADD', KEYS[3], ARGV[2]) == 1 then
  -- It becomes dedicated: the pooled owner may hold its state in memory, so it is fenced and has to acquire anew.
  redis.call('HINCRBY', KEYS[2], 'epoch', 1)
  redis.call('HSET', KEYS[2], 'owner', '')
end
local epoch = redis.call('HINCRBY', KEYS[1], 'epoch', 1)
redis.call('HSET', KEYS[1], 'owner', ARGV[1])
return {epoch, tonumber(redis.call('HGET', KEYS[1], 'number') or 0)}
