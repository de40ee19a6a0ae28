/** KEYS from 4: the events. Answers the metadata of each, without its token; empty: its room was purged. */
export const getEvents = `
local found = {}
if not S.suspended and #KEYS > 3 then
  for i, value in ipairs(redis.call('MGET', unpack(KEYS, 4))) do
    if not value then found[i] = false
    elseif parse(value).alive then found[i] = string.sub(value, 9)
    else found[i] = '' end
  end
end
return finish(found)
`;

/**
 * KEYS from 4: an event and its room, for each. ARGV from 4: time to live, that of
 * rooms, epoch and sequence of as_of; then for each event its ID, its room's ID, a
 * token that was never used, and its metadata.
 */
export const putEvents = `
local ttl, room_ttl, epoch, sequence = ARGV[4], ARGV[5], ARGV[6], tonumber(ARGV[7])
local outcomes = {}
for i = 1, (#KEYS - 3) / 2 do
  local event_key, room_key = KEYS[2 + 2 * i], KEYS[3 + 2 * i]
  local at = 4 + 4 * i
  local id, room, fresh_token, metadata = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  local outcome = S.suspended and 'suspended' or judge(epoch, sequence, id, room)
  if outcome == 'stored' then
    local token = token_of(room)
    if token then redis.call('PEXPIRE', room_key, room_ttl)
    else
      S.generation = S.generation + 1
      redis.call('SET', room_key, fresh_token .. S.epoch .. int(S.generation), 'PX', room_ttl)
      token, room_tokens[room], dirty = fresh_token, fresh_token, true
    end
    redis.call('SET', event_key, token .. metadata, 'PX', ttl)
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
local entry = value and parse(value)
local alive = entry and entry.alive
local applies = alive and epoch ~= '' and (room == '' or room == entry.room)
  and judge(epoch, sequence, id, entry.room) == 'stored'
  and (kind ~= 'redacted' or ARGV[11] == '' or ARGV[11] == entry.body)
grant()
if applies then
  -- Bits of flags: 1 rejected, 2 redacted, 4 with a redacted body, to which the rest begins with the reference.
  local flags, reason, by, rest = entry.flags, entry.reason, entry.redacted_by, entry.rest
  if kind == 'redacted' then
    if flags >= 4 then rest = string.sub(rest, 37) end
    flags = flags % 2 + 2 + (ARGV[10] ~= '' and 4 or 0)
    by, rest = ARGV[9], ARGV[10] .. rest
  else
    flags = flags - flags % 2 + tonumber(ARGV[9])
    reason = ARGV[10]
  end
  redis.call('SET', KEYS[4], struct.pack('>c8c36BHc0Hc0Hc0', entry.token, entry.body, flags,
    #entry.room, entry.room, #reason, reason, #by, by) .. rest, 'KEEPTTL')
elseif value then redis.call('UNLINK', KEYS[4]) end
append(kind, room ~= '' and room or alive and entry.room or '', { id }, ARGV[9])
return finish(not alive and 'absent' or applies and 'applied' or 'dropped')
`;

/** KEYS from 4: the events. ARGV from 4: room ID or nothing, then their IDs, each once. */
export const invalidateEvents = `
local room, ids = ARGV[4], {}
for i = 5, #ARGV do ids[i - 4] = ARGV[i] end
local common
for i, value in ipairs(redis.call('MGET', unpack(KEYS, 4))) do
  local own = value and parse(value).room or ''
  if i == 1 then common = own elseif own ~= common then common = '' end
end
redis.call('UNLINK', unpack(KEYS, 4))
append('invalidated', room ~= '' and room or common, ids, '')
return finish('')
`;

/** KEYS 4: the room's token. ARGV 4: the room's ID. Its metadata dies with the token. */
export const purgeRoom = `
redis.call('UNLINK', KEYS[4])
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

/** ARGV from 4: epoch and sequence to read after, and how many changes. */
export const readLog = `
local epoch, after = ARGV[4], tonumber(ARGV[5])
if epoch ~= S.epoch or after < S.trimmed or after >= S.sequence then return finish({}) end
return finish(redis.call('XRANGE', LOG, int(after + 1) .. '-0', '+', 'COUNT', ARGV[6]))
`;
