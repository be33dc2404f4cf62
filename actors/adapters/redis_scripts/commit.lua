-- Stores one cell's commit: numbered, fenced, each group whole or not at all. Deterministic (its only inputs are KEYS,
-- ARGV and stored data), so it may be replicated and logged either as a script or by its effects.
--
-- KEYS  1 owner record  2 bases  3.. the event list of every actor in the commit, then the guards in their order,
--       then what the plan's head names
-- ARGV  1 epoch  2 owner  3 number  4 plan (a flat JSON array of integers)  5.. values
-- plan  head: how many actors; the first letter of an address in its event list's key; the first guard; then where in
--       KEYS to find the due index, the snapshots, the data keys, the stream's position (followed by the stream), 0 for
--       what this commit does not touch
--       per group: 1 if it has a guard, how many appends; and per append:
--       actor (1..), expected version, how many events, flags: 1 remove its due entry or 2 set it, 4 there is a
--       snapshot, 8 there is a data key, 16 the events go to the stream, 32 forget the actor, 64 the first of the
--       events, whose number is given, are restored and do not go to the stream
-- values per group: the guard's value and expiry (ms); the events of all its appends; per append its due score,
--       snapshot, data key, number of restored events
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
local actors, cut, guard_key, due_key, snapshots_key, data_keys_key, position_key = unpack(plan, 1, 7)
local address, base = {}, {}
if actors > 0 then
  for k = 1, actors do address[k] = string.sub(KEYS[2 + k], cut) end
  base = call('HMGET', KEYS[2], unpack(address))
end
local position = position_key > 0 and call('GET', KEYS[position_key]) -- false until a consumer has opened the stream

local refused, entry = {}, {}
local spoken_of, due, undue = {}, {}, {} -- the due index is written in one go, unless an actor comes up twice
local function write_due()
  if #due > 0 then call('ZADD', KEYS[due_key], unpack(due)) end
  if #undue > 0 then call('ZREM', KEYS[due_key], unpack(undue)) end
  spoken_of, due, undue = {}, {}, {}
end

local p, v, group = 8, 5, 0
while plan[p] do
  local guarded, first = plan[p] == 1, p + 2
  local last = first + 4 * (plan[p + 1] - 1)
  local no = false
  if guarded then
    if not call('SET', KEYS[guard_key], ARGV[v], 'NX', 'PXAT', ARGV[v + 1]) then
      no = {group, call('GET', KEYS[guard_key])}
    end
    guard_key, v = guard_key + 1, v + 2
  end

  -- Events are pushed first and taken back should a version be wrong: pushing tells the version, and it hardly ever is.
  local e = v
  for a = first, last, 4 do
    local k, events = plan[a], plan[a + 2]
    if not no then
      local length
      if events > 0 then
        length = call('RPUSH', KEYS[2 + k], unpack(ARGV, v, v + events - 1)) - events
      else
        length = call('LLEN', KEYS[2 + k])
      end
      if length + (base[k] or 0) ~= plan[a + 1] then
        no = {group}
        for b = first, a, 4 do
          if plan[b + 2] > 0 then call('LTRIM', KEYS[2 + plan[b]], 0, -1 - plan[b + 2]) end
        end
        if guarded then call('DEL', KEYS[guard_key - 1]) end
      end
    end
    v = v + events
  end

  if no then refused[#refused + 1] = no end
  for a = first, last, 4 do
    local k, events, flags = plan[a], plan[a + 2], plan[a + 3]
    local is = flags % 4
    if no then -- step over its values
      if is >= 2 then v = v + 1 end
      if flags % 8 >= 4 then v = v + 1 end
      if flags % 16 >= 8 then v = v + 1 end
      if flags >= 64 then v = v + 1 end
    else
      if is > 0 then
        if spoken_of[k] then write_due() end
        spoken_of[k] = true
        if is == 1 then
          undue[#undue + 1] = address[k]
        else
          due[#due + 1] = ARGV[v]
          due[#due + 1] = address[k]
          v = v + 1
        end
      end
      if flags >= 4 then
        if flags % 8 >= 4 then
          base[k] = plan[a + 1] + events
          call('HSET', KEYS[snapshots_key], address[k], ARGV[v])
          call('HSET', KEYS[2], address[k], base[k])
          call('DEL', KEYS[2 + k])
          v = v + 1
        end
        if flags % 16 >= 8 then
          call('HSETNX', KEYS[data_keys_key], address[k], ARGV[v])
          v = v + 1
        end
        local restored = 0
        if flags >= 64 then
          restored = tonumber(ARGV[v])
          flags, v = flags - 64, v + 1
        end
        if flags >= 32 then
          if base[k] then
            call('HDEL', KEYS[2], address[k])
            call('HDEL', KEYS[snapshots_key], address[k])
          end
          base[k] = false
          call('DEL', KEYS[2 + k])
          call('HDEL', KEYS[data_keys_key], address[k])
        elseif flags >= 16 and position and events > restored then
          entry[#entry + 1] = address[k] .. ' ' .. plan[a + 1] + restored .. ' ' .. events - restored
          for i = e + restored, e + events - 1 do entry[#entry + 1] = ARGV[i] end
        end
      end
      e = e + events
    end
  end
  p, group = last + 4, group + 1
end

write_due()
local answer = ''
if #refused > 0 then answer = cjson.encode(refused) end
if record[4] == ARGV[2] and record[5] == answer then
  call('HSET', KEYS[1], 'number', ARGV[3])
else
  call('HSET', KEYS[1], 'number', ARGV[3], 'by', ARGV[2], 'refused', answer)
end

if #entry > 0 then -- last: Redis 6.2 allows no write after XADD unless effects are logged
  call('INCR', KEYS[position_key])
  call('XADD', KEYS[position_key + 1], (position + 1) .. '-0', 'e', table.concat(entry, '\n'))
end
return answer
