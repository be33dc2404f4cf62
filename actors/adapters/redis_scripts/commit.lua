-- Stores one cell's commit: numbered, fenced, each group whole or not at all. Deterministic (its only inputs are KEYS,
-- ARGV and stored data), so it may be replicated and logged either as a script or by its effects.
--
-- KEYS  1 owner record  2 due  3 pending  4 snapshots  5 bases  6 data keys  7 stream position  8 stream
--       9.. the event list of every actor in the commit, then the guards
-- ARGV  1 epoch  2 owner  3 number  4 plan (a flat JSON array of integers)  5.. values
-- plan  actors, first letter of an address in its event list's key, streamed (0, 1), then per group:
--         guard (index in KEYS or 0), its expiry (ms), values, appends, then per append:
--           actor (1..), expected version, events, due (0 unchanged, 1 none, 2 timer, 3 pending), its score,
--           extras (1 snapshot + 2 data key + 4 streamed)
-- values per group: the guard's value, if any; then per append its events, snapshot, data key
--
-- Returns '' (stored), a JSON array of refused groups ([index] or [index, the guard's value]), or {'FENCED'}, or
-- {'WENT_BACK', stored number}.
local call, unpack = redis.call, unpack

local record = call('HMGET', KEYS[1], 'epoch', 'owner', 'number', 'by', 'refused')
local epoch, number = tonumber(ARGV[1]), tonumber(ARGV[3])
local stored_epoch, stored = tonumber(record[1] or 0), tonumber(record[3] or 0)
if stored == number and record[4] == ARGV[2] then return record[5] end -- sent again: the first answer
if stored_epoch < epoch then return {'WENT_BACK', stored} end -- epochs only grow: this acquisition was lost
if stored_epoch > epoch or record[2] ~= ARGV[2] or stored >= number then return {'FENCED'} end
if stored + 1 < number then return {'WENT_BACK', stored} end

local plan = cjson.decode(ARGV[4])
local actors = plan[1]
local address, version = {}, {}
if actors > 0 then
  for k = 1, actors do address[k] = string.sub(KEYS[8 + k], plan[2]) end
  local base = call('HMGET', KEYS[5], unpack(address))
  for k = 1, actors do version[k] = call('LLEN', KEYS[8 + k]) + (base[k] or 0) end
end
local position = plan[3] == 1 and call('GET', KEYS[7]) -- false until a consumer has opened the stream

local refused, due, score, entry = {}, {}, {}, {}
local p, v, group = 4, 5, 0
while plan[p] do
  local guard, last = plan[p], p + 4 + 6 * (plan[p + 3] - 1)
  local no = false
  if guard > 0 then
    local held = call('GET', KEYS[guard])
    if held then no = {group, held} end
  end
  if not no then
    for a = p + 4, last, 6 do
      if version[plan[a]] ~= plan[a + 1] then no = {group} break end
    end
  end
  if no then
    refused[#refused + 1] = no
  else
    local w = v
    if guard > 0 then
      call('SET', KEYS[guard], ARGV[w], 'PXAT', plan[p + 1])
      w = w + 1
    end
    for a = p + 4, last, 6 do
      local k, events, extras = plan[a], plan[a + 2], plan[a + 5]
      if events > 0 then
        call('RPUSH', KEYS[8 + k], unpack(ARGV, w, w + events - 1))
        if position and extras >= 4 then
          entry[#entry + 1] = address[k]
          entry[#entry + 1] = version[k] .. '\n' .. table.concat(ARGV, '\n', w, w + events - 1)
        end
        version[k] = version[k] + events
        w = w + events
      end
      if extras % 2 == 1 then
        call('HSET', KEYS[4], address[k], ARGV[w])
        call('HSET', KEYS[5], address[k], version[k])
        call('DEL', KEYS[8 + k])
        w = w + 1
      end
      if extras % 4 >= 2 then
        call('HSETNX', KEYS[6], address[k], ARGV[w])
        w = w + 1
      end
      if plan[a + 3] > 0 then
        due[k], score[k] = plan[a + 3], plan[a + 4]
      end
    end
  end
  p, v, group = last + 6, v + plan[p + 2], group + 1
end

local scored, undue, pending, settled = {}, {}, {}, {}
for k = 1, actors do
  local is = due[k]
  if is then
    if is == 1 then
      undue[#undue + 1] = address[k]
    else
      scored[#scored + 1] = score[k]
      scored[#scored + 1] = address[k]
    end
    if is == 3 then
      pending[#pending + 1] = 0
      pending[#pending + 1] = address[k]
    else
      settled[#settled + 1] = address[k]
    end
  end
end
local answer = ''
if #refused > 0 then answer = cjson.encode(refused) end
call('HSET', KEYS[1], 'number', ARGV[3], 'by', ARGV[2], 'refused', answer)
if #scored > 0 then call('ZADD', KEYS[2], unpack(scored)) end
if #undue > 0 then call('ZREM', KEYS[2], unpack(undue)) end
if #pending > 0 then call('ZADD', KEYS[3], unpack(pending)) end
if #settled > 0 then call('ZREM', KEYS[3], unpack(settled)) end
if #entry > 0 then -- last: Redis 6.2 allows no write after XADD unless effects are logged
  call('INCR', KEYS[7])
  call('XADD', KEYS[8], (position + 1) .. '-0', unpack(entry))
end
return answer
