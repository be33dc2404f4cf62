-- Ends the dedication of actors: their own records stay, without an owner and under a new epoch, so that whoever held
-- them is fenced.
-- KEYS 1 the set of dedicated actors, 2.. their owner records   ARGV the actors
-- Returns how many were dedicated.
local retired = 0
for i = 1, #ARGV do
  if redis.call('SREM', KEYS[1], ARGV[i]) == 1 then
    redis.call('HINCRBY', KEYS[1 + i], 'epoch', 1)
    redis.call('HSET', KEYS[1 + i], 'owner', '')
    retired = retired + 1
  end
end
return retired
