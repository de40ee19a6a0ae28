import { LOG_EVENT_IDS_MAX } from "../../../core/limits.js";
import { ANNOUNCED_IDS_MAX, LOG_BYTES_MAX, STATE_TTL_MS } from "../redis-limits.js";
import { replicasIn } from "./replication.js";

/**
 * What every script on a homeserver begins with: it reads the state, starts a new
 * epoch if the server is not the one of the state, and judges the writer leases.
 * KEYS: state, log, fence, then the script's own. ARGV: an epoch that was never
 * used, the channel, the lease duration, then the script's own.
 *
 * A full server refuses what takes memory until a script has written anything at
 * all. `grant` writes what takes none, so that changes succeed where fills do not.
 *
 * `clock` is Lua that yields what TIME replies.
 */
export const prelude = (clock: string): string => `${replicasIn}
local STATE, LOG, FENCE = KEYS[1], KEYS[2], KEYS[3]
local FRESH_EPOCH, CHANNEL, LEASE_MS = ARGV[1], ARGV[2], tonumber(ARGV[3])
local PREFIX = string.sub(STATE, 1, -6)

local S
local started, lapsed, dirty = '', {}, false
-- What is published when the script ends: a change with its place, or that there is something to read.
local message

local function int(n) return string.format('%.0f', n) end

local function now_ms()
  local time = ${clock}
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function grant() redis.call('UNLINK', PREFIX .. 'none') end

local function run_id() return string.match(redis.call('INFO', 'server'), 'run_id:(%x+)') end

local function begin_epoch(reason)
  redis.call('UNLINK', LOG, FENCE)
  S.epoch, S.sequence, S.trimmed, S.ids, S.bytes = FRESH_EPOCH, 0, 0, 0, 0
  S.floor = S.generation
  S.run = run_id()
  started, dirty, message = reason, true, ''
end

-- The writers live in the state, a field each.
local function load_writers()
  if S.records then return end
  S.records = {}
  local all = redis.call('HGETALL', STATE)
  for i = 1, #all, 2 do
    if string.sub(all[i], 1, 2) == 'w:' then
      local r = cmsgpack.unpack(all[i + 1])
      S.records[string.sub(all[i], 3)] = { standing = r[1], expires = r[2], tokens = r[3] }
    end
  end
end

local function save_writer(name)
  local r = S.records[name]
  redis.call('HSET', STATE, 'w:' .. name, cmsgpack.pack({ r.standing, r.expires, r.tokens }))
  dirty = true
end

local function report_lapsed(name)
  local tokens = S.records[name].tokens
  table.insert(lapsed, name)
  table.insert(lapsed, tokens[#tokens - 1])
end

-- Whether the homeserver is suspended, and when it may next become so by itself.
-- Entering and leaving suspension each start a new epoch.
local function follow_writers()
  local suspended, expiry, count = false, math.huge, 0
  for _, r in pairs(S.records) do
    count = count + 1
    if r.standing == 'held' then expiry = math.min(expiry, r.expires)
    elseif r.standing ~= 'released' then suspended = true end
  end
  S.writers, S.expiry, dirty = count, expiry, true
  if suspended ~= S.suspended then
    S.suspended = suspended
    begin_epoch(suspended and 'suspended' or 'resumed')
  end
end

local function end_leases_until(time)
  load_writers()
  grant()
  for name, r in pairs(S.records) do
    if r.standing == 'held' and time >= r.expires then
      r.standing = 'lapsed'
      report_lapsed(name)
      save_writer(name)
    end
  end
  follow_writers()
end

-- Appends a change to the log and raises the fence. A part of either that was
-- lost, by eviction or expiry, takes the rest with it: nothing before can be judged.
local function append(kind, room, ids, extra)
  if S.sequence > S.trimmed and (redis.call('HGET', FENCE, '#') ~= S.epoch
      or redis.call('XLEN', LOG) ~= S.sequence - S.trimmed) then
    S.trimmed = S.sequence
  end
  if S.sequence == S.trimmed then
    redis.call('UNLINK', LOG, FENCE)
    redis.call('HSET', FENCE, '#', S.epoch)
    S.ids, S.bytes = 0, 0
  end
  S.sequence = S.sequence + 1
  local sequence = int(S.sequence)
  local fields, raised = { 'k', kind, 'r', room, 'x', extra }, {}
  local bytes = 160 + #room + #extra
  for _, id in ipairs(ids) do
    table.insert(fields, 'e')
    table.insert(fields, id)
    table.insert(raised, 'e' .. id)
    table.insert(raised, sequence)
    bytes = bytes + 100 + #id
  end
  if kind == 'roomPurged' then raised = { 'r' .. room, sequence } end
  if kind == 'homeserverPurged' then raised = { 'h', sequence } end
  redis.call('XADD', LOG, sequence .. '-0', unpack(fields))
  redis.call('HSET', FENCE, unpack(raised))
  S.ids, S.bytes = S.ids + #ids, S.bytes + bytes
  while S.ids > ${LOG_EVENT_IDS_MAX} or S.bytes > ${LOG_BYTES_MAX} do
    local oldest = redis.call('XRANGE', LOG, '-', '+', 'COUNT', 1)[1]
    local at, held = string.match(oldest[1], '^%d+'), oldest[2]
    local freed, lowered = 160 + #held[4] + #held[6], {}
    for i = 7, #held, 2 do
      freed = freed + 100 + #held[i + 1]
      S.ids = S.ids - 1
      -- A newer change of the same event keeps its fence.
      if redis.call('HGET', FENCE, 'e' .. held[i + 1]) == at then table.insert(lowered, 'e' .. held[i + 1]) end
    end
    if held[2] == 'roomPurged' and redis.call('HGET', FENCE, 'r' .. held[4]) == at then
      table.insert(lowered, 'r' .. held[4])
    end
    if #lowered > 0 then redis.call('HDEL', FENCE, unpack(lowered)) end
    redis.call('XDEL', LOG, oldest[1])
    S.bytes, S.trimmed = S.bytes - freed, tonumber(at)
  end
  redis.call('PEXPIRE', LOG, ${STATE_TTL_MS})
  redis.call('PEXPIRE', FENCE, ${STATE_TTL_MS})
  dirty, message = true, ''
  if #ids <= ${ANNOUNCED_IDS_MAX} then message = cjson.encode({ S.epoch, sequence, S.replid, S.replicas, fields }) end
end

-- What the fence says of a write by the position that its writer had.
local function judge(epoch, sequence, event_id, room)
  if epoch ~= S.epoch or sequence > S.sequence then return 'wrongEpoch' end
  if sequence == S.sequence then return 'stored' end
  if sequence < S.trimmed then return 'tooOld' end
  local fence = redis.call('HMGET', FENCE, '#', 'e' .. event_id, 'r' .. room, 'h')
  if fence[1] ~= S.epoch then return 'tooOld' end
  for i = 2, 4 do
    if fence[i] and tonumber(fence[i]) > sequence then return 'fenced' end
  end
  return 'stored'
end

-- A room's token, which its metadata must bear to be alive. It dies with the room, the epoch, or a
-- purge of the homeserver (the floor). Two keys name each other, room and token; a loss of either is
-- the token's death.
local function token_of(room)
  local value = redis.call('GET', PREFIX .. 'r:' .. room)
  return value and string.sub(value, 9, 40) == S.epoch and tonumber(string.sub(value, 41)) > S.floor
    and string.sub(value, 1, 8)
end

-- The room of a token that is alive.
local rooms = {}
local function room_of(token)
  local room = rooms[token]
  if room == nil then
    room = redis.call('GET', PREFIX .. 't:' .. token)
    room = room and token_of(room) == token and room
    rooms[token] = room
  end
  return room
end

local function finish(result)
  if S.suspended then
    -- Each time, and not only when they lapse: that reply may be lost, and with it the token that releases them.
    load_writers()
    lapsed = {}
    for name, r in pairs(S.records) do
      if r.standing == 'lapsed' then report_lapsed(name) end
    end
  end
  if dirty then
    redis.call('HSET', STATE, 'epoch', S.epoch, 'sequence', int(S.sequence), 'trimmed', int(S.trimmed),
      'replid', S.replid, 'replicas', S.replicas, 'generation', int(S.generation), 'floor', int(S.floor),
      'suspended', S.suspended and 1 or 0, 'expiry', S.expiry == math.huge and '' or int(S.expiry),
      'clock', int(S.now), 'ids', S.ids, 'bytes', S.bytes, 'writers', S.writers)
    if S.run then redis.call('HSET', STATE, 'run', S.run) end
    redis.call('PEXPIRE', STATE, ${STATE_TTL_MS})
  end
  if message then redis.call('SPUBLISH', CHANNEL, message) end
  return { S.epoch, S.sequence, S.trimmed, S.replid, S.replicas, S.suspended and 1 or 0, S.writers,
    S.ids, S.bytes, started, lapsed, result }
end

do
  local info = redis.call('INFO', 'replication')
  -- A replica shows its primary's replication ID, and may lag behind it.
  if not string.find(info, 'role:master', 1, true) then
    return redis.error_reply('READONLY this server is not the primary')
  end
  local replid = string.match(info, 'master_replid:(%x+)')
  local online = replicas_in(info)
  local v = redis.call('HMGET', STATE, 'epoch', 'sequence', 'trimmed', 'replid', 'replicas', 'generation',
    'floor', 'suspended', 'expiry', 'clock', 'ids', 'bytes', 'writers')
  S = { replid = replid, replicas = online, generation = 0, suspended = false, expiry = math.huge,
    writers = 0, now = now_ms() }
  if not v[1] or v[4] ~= replid then
    -- Lost, or another server's: it may lack changes that were acknowledged.
    -- Or the same process under a replication ID of its own making, as a primary has that sees no replica
    -- for an hour: it misses them still.
    if v[1] and redis.call('HGET', STATE, 'run') == run_id() then
      S.replicas = math.max(tonumber(v[5]), online)
    end
    redis.call('UNLINK', STATE)
    begin_epoch(v[1] and 'replaced' or 'started')
  else
    S.epoch, S.sequence, S.trimmed = v[1], tonumber(v[2]), tonumber(v[3])
    S.generation, S.floor, S.suspended = tonumber(v[6]), tonumber(v[7]), v[8] == '1'
    S.expiry = v[9] == '' and math.huge or tonumber(v[9])
    S.ids, S.bytes, S.writers = tonumber(v[11]), tonumber(v[12]), tonumber(v[13])
    -- Replicas are remembered, so that one that was cut off is missed.
    S.replicas = math.max(tonumber(v[5]), online)
    if S.replicas > tonumber(v[5]) then
      grant()
      dirty = true
    end
    local clock = tonumber(v[10])
    -- The server's clock was set back: no lease can be judged by it.
    local stepped = S.now < clock - 1000
    if not stepped then S.now = math.max(S.now, clock) end
    if S.expiry ~= math.huge and (stepped or S.now >= S.expiry) then
      end_leases_until(stepped and math.huge or S.now)
    end
  end
end
`;
