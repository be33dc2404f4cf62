-- Stores commits, one after another: each is numbered and fenced, and each of its groups is stored whole or not at all.
-- One run carries what all shards of a host have gathered (in a cluster, where keys have to be of one slot, one shard's).
-- Deterministic: its only inputs are KEYS, ARGV and stored data, it reads no clock and draws nothing. So it may be logged
-- either as a script or by its effects.
--
-- KEYS  per commit: owner record, bases; of pooled owner record, due index, snapshots, data keys and stream those that
--       the plan says are used; per group its guard, if it has one, and the event list of each append
-- ARGV  1 how many commits; per commit: epoch, owner, number, plan, values
-- plan  32-bit integers, lowest byte first: how many KEYS and how many ARGV the commit has; which of the keys above are
--       used (the sum of 1, 2, 4, 8, 16, in that order); the first letter of an address in its event list's key; how many
--       addresses there are that may have a base; how many groups
--       per group: twice the number of its appends, and one more if it has a guard; and per append:
--       expected version, how many events, flags: 1 remove its due entry or 2 set it, 4 there is a snapshot, 8 there is
--       a data key, 16 the events go to the stream, 32 forget the actor, 64 the first of the events, whose number is
--       given, are restored and do not go to the stream, 128 it may have a base (256 means something to the host alone)
-- values the addresses that may have a base; per group the guard's value and expiry (ms); the events of all its appends;
--       per append its due score, snapshot, data key, number of restored events
--
-- Returns per commit '' (stored), a JSON array of refused groups ([index] or [index, the guard's value]), {'FENCED'}, or
-- {'WENT_BACK', stored number}. One that raises an error ends the run: {'FAILED', error}, and those behind it have no
-- answer. So memory can only run out before anything was written, and what was not stored is in no log.
local call, unpack, sub, concat, band = redis.call, unpack, string.sub, table.concat, bit.band
local KEYS, ARGV = KEYS, ARGV

local k, v, at, plan = 0, 1, 1, {} -- the last key and value that were used, and where to read on in the plan
local cut, position, base -- of the commit: see above; false until a consumer has opened the stream; by address
local bases_key, due_key, snapshots_key, data_keys_key
local spoken_of, due, undue, entry -- what is written in one go at its end

local function write_due()
  if #due > 0 then call('ZADD', due_key, unpack(due)) end
  if #undue > 0 then call('ZREM', due_key, unpack(undue)) end
  spoken_of, due, undue = {}, {}, {}
end

-- Pushes the events of a group, whose appends begin at `at`, and takes them back should a version be wrong: pushing tells
-- the version, and it hardly ever is. True if they are stored.
local function push(appends)
  local p = v
  for a = 1, appends do
    local place = at + 3 * (a - 1)
    local events, list, length = plan[place + 1], KEYS[k + a], nil
    if events == 1 then
      length = call('RPUSH', list, ARGV[p + 1])
    elseif events > 0 then
      length = call('RPUSH', list, unpack(ARGV, p + 1, p + events))
    else
      length = call('LLEN', list)
    end
    if band(plan[place + 2], 128) > 0 then length = length + (base[sub(list, cut)] or 0) end
    if length ~= plan[place] + events then
      for b = 1, a do
        local pushed = plan[at + 3 * b - 2]
        if pushed > 0 then call('LTRIM', KEYS[k + b], 0, -1 - pushed) end
      end
      return false
    end
    p = p + events
  end
  return true
end

-- Stores what comes with the events of an append; `e` is the last value before these.
local function keep(list, version, events, flags, e)
  local address = sub(list, cut)
  if flags % 4 > 0 then
    if spoken_of[address] then write_due() end -- an actor comes up twice
    spoken_of[address] = true
    if flags % 4 == 1 then
      undue[#undue + 1] = address
    else
      v = v + 1
      due[#due + 1] = ARGV[v]
      due[#due + 1] = address
    end
  end
  if band(flags, 108) > 0 then -- a snapshot, a data key, an actor that comes or goes
    if band(flags, 4) > 0 then
      v = v + 1
      base[address] = version + events
      call('HSET', snapshots_key, address, ARGV[v])
      call('HSET', bases_key, address, base[address])
      call('DEL', list)
    end
    if band(flags, 8) > 0 then
      v = v + 1
      call('HSETNX', data_keys_key, address, ARGV[v])
    end
    if band(flags, 64) > 0 then
      v = v + 1
      local restored = tonumber(ARGV[v])
      version, events, e = version + restored, events - restored, e + restored
    end
    if band(flags, 32) > 0 then
      if base[address] then
        call('HDEL', bases_key, address)
        call('HDEL', snapshots_key, address)
        base[address] = false
      end
      call('DEL', list)
      call('HDEL', data_keys_key, address)
    end
  end
  if position and events > 0 and band(flags, 16) > 0 then
    entry[#entry + 1] = address .. ' ' .. version .. ' ' .. events
    for i = e + 1, e + events do entry[#entry + 1] = ARGV[i] end
  end
end

-- Stores a group and returns nil, or why it is refused.
local function store(group)
  local appends, no, guard_key = plan[at], nil, nil
  at = at + 1
  if appends % 2 == 1 then
    k, v = k + 1, v + 2
    guard_key = KEYS[k]
    if not call('SET', guard_key, ARGV[v - 1], 'NX', 'PXAT', ARGV[v]) then no = {group, call('GET', guard_key)} end
  end
  appends = (appends - appends % 2) / 2
  if not no and not push(appends) then
    no = {group}
    if guard_key then call('DEL', guard_key) end
  end
  local e, last = v, at + 3 * appends - 1
  for place = at + 1, last, 3 do v = v + plan[place] end
  for a = 1, appends do
    local version, events, flags = plan[at], plan[at + 1], plan[at + 2]
    if no then -- step over its values
      v = v + (band(flags, 2) + band(flags, 4) / 2 + band(flags, 8) / 4 + band(flags, 64) / 32) / 2
    elseif flags % 128 > 0 then
      keep(KEYS[k + a], version, events, flags, e)
    end
    e, at = e + events, at + 3
  end
  k = k + appends
  return no
end

local function commit()
  local owner_key, owner, number = KEYS[k + 1], ARGV[v + 2], ARGV[v + 3]
  local record = call('HMGET', owner_key, 'epoch', 'owner', 'number', 'by', 'refused', 'position')
  local epoch, told = tonumber(ARGV[v + 1]), tonumber(number)
  local stored_epoch, stored = tonumber(record[1] or 0), tonumber(record[3] or 0)
  if stored == told and record[4] == owner then return record[5] end -- sent again: the first answer
  if stored_epoch < epoch then return {'WENT_BACK', stored} end -- epochs only grow: this acquisition was lost
  if stored_epoch > epoch or record[2] ~= owner or stored >= told then return {'FENCED'} end
  if stored + 1 < told then return {'WENT_BACK', stored} end

  local used, addresses, groups, pooled_key, stream_key
  used, cut, addresses, groups = unpack(plan, 3, 6)
  at = 7
  bases_key = KEYS[k + 2]
  k, v = k + 2, v + 4
  if band(used, 1) > 0 then k = k + 1; pooled_key = KEYS[k] end
  if band(used, 2) > 0 then k = k + 1; due_key = KEYS[k] end
  if band(used, 4) > 0 then k = k + 1; snapshots_key = KEYS[k] end
  if band(used, 8) > 0 then k = k + 1; data_keys_key = KEYS[k] end
  if band(used, 16) > 0 then k = k + 1; stream_key = KEYS[k] end
  position = stream_key and record[6]
  if stream_key and pooled_key then position = call('HGET', pooled_key, 'position') end
  base, spoken_of, due, undue, entry = {}, {}, {}, {}, {}
  if addresses > 0 then
    local found = call('HMGET', bases_key, unpack(ARGV, v + 1, v + addresses))
    for i = 1, addresses do base[ARGV[v + i]] = found[i] end
    v = v + addresses
  end

  local refused, answer = {}, ''
  for group = 0, groups - 1 do refused[#refused + 1] = store(group) end
  write_due()
  if #refused > 0 then answer = cjson.encode(refused) end
  local marks = {'number', number}
  if record[4] ~= owner or record[5] ~= answer then marks = {'number', number, 'by', owner, 'refused', answer} end
  if #entry > 0 then
    call('RPUSH', stream_key, concat(entry, '\n'))
    if pooled_key then
      call('HINCRBY', pooled_key, 'position', 1)
    else
      marks[#marks + 1] = 'position'
      marks[#marks + 1] = position + 1
    end
  end
  call('HSET', owner_key, unpack(marks))
  return answer
end

-- The integers of a plan, some thousands at a time: more is too much for Lua.
local function integers(packed)
  local size = #packed / 4
  if size <= 4000 then return {struct.unpack('<' .. string.rep('I', size), packed)} end
  local all = {}
  for i = 1, size do all[i] = struct.unpack('<I', packed, 4 * i - 3) end
  return all
end

local answers = {}
for c = 1, tonumber(ARGV[1]) do
  local last_key, last_value, stored = k, v, nil
  plan = integers(ARGV[v + 4])
  stored, answers[c] = pcall(commit)
  if not stored then
    local fault = answers[c]
    answers[c] = {'FAILED', type(fault) == 'table' and fault.err or fault}
    break
  end
  k, v = last_key + plan[1], last_value + plan[2]
end
return answers
