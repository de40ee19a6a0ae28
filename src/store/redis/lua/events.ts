/**
 * KEYS from 4: the events. Answers the metadata of each, one after the other in one
 * string; for one that is not there, or whose room was purged, a stand-in of no length.
 */
export const getEvents = `
if S.suspended or #KEYS == 3 then return finish('') end
local sub, found = string.sub, redis.call('MGET', unpack(KEYS, 4))
for i = 1, #found do
  local value = found[i]
  if not value then found[i] = '${"\\0".repeat(10)}'
  elseif not room_of(sub(value, 1, 8)) then found[i] = '${"\\0".repeat(7)}\\1\\0\\0' end
end
return finish(table.concat(found))
`;

/**
 * KEYS from 4: an event and its room, for each. ARGV from 4: time to live, that of
 * rooms, epoch and sequence of as_of; then for each event its ID, its room's ID, a
 * token that was never used, and its metadata.
 */
export const putEvents = `
local ttl, room_ttl, epoch, sequence = ARGV[4], ARGV[5], ARGV[6], tonumber(ARGV[7])
local outcomes, kept = {}, {}
for i = 1, (#KEYS - 3) / 2 do
  local event_key, room_key = KEYS[2 + 2 * i], KEYS[3 + 2 * i]
  local at = 4 + 4 * i
  local id, room, fresh_token, metadata = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  local outcome = S.suspended and 'suspended' or judge(epoch, sequence, id, room)
  if outcome == 'stored' then
    local token = kept[room] or token_of(room)
    if not token or redis.call('EXISTS', PREFIX .. 't:' .. token) == 0 then
      token, S.generation, dirty = fresh_token, S.generation + 1, true
      redis.call('SET', room_key, token .. S.epoch .. int(S.generation), 'PX', room_ttl)
      redis.call('SET', PREFIX .. 't:' .. token, room, 'PX', room_ttl)
      kept[room] = token
    end
    -- The first write is one that a full server refuses, and the rest of the script with it.
    redis.call('SET', event_key, token .. metadata, 'PX', ttl)
    if not kept[room] then
      redis.call('PEXPIRE', PREFIX .. 't:' .. token, room_ttl)
      redis.call('PEXPIRE', room_key, room_ttl)
      kept[room] = token
    end
  end
  outcomes[i] = outcome
end
return finish(outcomes)
`;

/**
 * KEYS 4: the event. ARGV from 4: kind of change, event ID, room ID or nothing, epoch
 * and sequence of as_of or nothing; then for a redaction the redacting event, the
 * reference to the redacted body or nothing, that to the body which it was made from
 * or nothing; for a rejection 1 or 0, and the reason.
 */
export const setState = `
local kind, id, room, epoch, sequence = ARGV[4], ARGV[5], ARGV[6], ARGV[7], tonumber(ARGV[8])
local value = redis.call('GET', KEYS[4])
local own_room = value and room_of(string.sub(value, 1, 8))
local token, _, flags, body, reason, by, at
if own_room then token, _, flags, body, reason, by, at = struct.unpack('>c8HBc36Hc0Hc0', value) end
local applies = own_room and epoch ~= '' and (room == '' or room == own_room)
  and judge(epoch, sequence, id, own_room) == 'stored'
  and (kind ~= 'redacted' or ARGV[11] == '' or ARGV[11] == body)
grant()
if applies then
  -- Bits of flags: 1 rejected, 2 redacted, 4 with a redacted body, to which the rest begins with the reference.
  local rest = string.sub(value, at)
  if kind == 'redacted' then
    if flags >= 4 then rest = string.sub(rest, 37) end
    flags = flags % 2 + 2 + (ARGV[10] ~= '' and 4 or 0)
    by, rest = ARGV[9], ARGV[10] .. rest
  else
    flags = flags - flags % 2 + tonumber(ARGV[9])
    reason = ARGV[10]
  end
  rest = struct.pack('>Bc36Hc0Hc0', flags, body, #reason, reason, #by, by) .. rest
  redis.call('SET', KEYS[4], token .. struct.pack('>H', #rest) .. rest, 'KEEPTTL')
elseif value then redis.call('UNLINK', KEYS[4]) end
append(kind, room ~= '' and room or own_room or '', { id }, ARGV[9])
return finish(not own_room and 'absent' or applies and 'applied' or 'dropped')
`;

/** KEYS from 4: the events. ARGV from 4: room ID or nothing, then their IDs, each once. */
export const invalidateEvents = `
local room, ids = ARGV[4], {}
for i = 5, #ARGV do ids[i - 4] = ARGV[i] end
local common
for i, value in ipairs(redis.call('MGET', unpack(KEYS, 4))) do
  local own = value and room_of(string.sub(value, 1, 8)) or ''
  if i == 1 then common = own elseif own ~= common then common = '' end
end
redis.call('UNLINK', unpack(KEYS, 4))
append('invalidated', room ~= '' and room or common, ids, '')
return finish('')
`;

/** KEYS 4: the room's token. ARGV 4: the room's ID. Its metadata dies with the token. */
export const purgeRoom = `
local value = redis.call('GET', KEYS[4])
redis.call('UNLINK', KEYS[4], value and PREFIX .. 't:' .. string.sub(value, 1, 8) or KEYS[4])
append('roomPurged', ARGV[4], {}, '')
return finish('')
`;

/** All tokens that exist now are below the floor. */
export const purgeHomeserver = `
grant()
S.floor = S.generation
append('homeserverPurged', '', {}, '')
return finish('')
`;

/**
 * ARGV from 4: epoch and sequence to read after, and how many event IDs are enough: a
 * change has up to 500, and a page is read in one go.
 */
export const readLog = `
local epoch, after, enough = ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])
if epoch ~= S.epoch or after < S.trimmed or after >= S.sequence then return finish({}) end
local page, ids = {}, 0
while ids < enough do
  local part = redis.call('XRANGE', LOG, int(after + 1) .. '-0', '+', 'COUNT', 10)
  for _, entry in ipairs(part) do
    table.insert(page, entry)
    ids = ids + #entry[2] / 2 - 2
  end
  if #part < 10 then break end
  after = tonumber(string.match(part[10][1], '^%d+'))
end
return finish(page)
`;
