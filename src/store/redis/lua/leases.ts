import { WRITERS_MAX } from "../../../core/limits.js";

const TOKENS_KEPT = 8;

/** Adds a name, which suspends the homeserver until it has a lease. */
const declare = `
load_writers()
grant()
local function declare(name)
  if S.records[name] then return end
  S.records[name] = { standing = 'declared', expires = 0, tokens = {} }
  save_writer(name)
end
`;

/** Where a token stands among a writer's; nothing if it is not one of its last lease. */
const issued = `
local function issued(record, token)
  for i = 1, #record.tokens, 2 do
    if record.tokens[i] == token then return record.tokens[i + 1] end
  end
end
`;

/** ARGV from 4: names. Adds none if there would be too many. */
export const declareWriters = `${declare}${`
local added, seen = 0, {}
for i = 4, #ARGV do
  if not S.records[ARGV[i]] and not seen[ARGV[i]] then
    added, seen[ARGV[i]] = added + 1, true
  end
end
if S.writers + added > ${WRITERS_MAX} then return finish('tooMany') end
for i = 4, #ARGV do declare(ARGV[i]) end
follow_writers()
return finish('')
`}`;

/**
 * ARGV from 4: the writer, its token or nothing, a token that was never used. Any token of
 * the live lease renews it, from that token's issue; any other makes its bearer a new process.
 */
export const renewLease = `${declare}${issued}${`
local name, token, fresh_token = ARGV[4], ARGV[5], ARGV[6]
if not S.records[name] and S.writers + 1 > ${WRITERS_MAX} then return finish('tooMany') end
declare(name)
local r = S.records[name]
local issued_at = r.standing == 'held' and issued(r, token)
local replaced = ''
if issued_at then
  r.expires = math.max(r.expires, issued_at + LEASE_MS)
  table.insert(r.tokens, fresh_token)
  table.insert(r.tokens, S.now)
  while #r.tokens > ${2 * TOKENS_KEPT} do
    table.remove(r.tokens, 1)
    table.remove(r.tokens, 1)
  end
else
  if r.standing == 'held' then
    replaced = 'replaced'
    r.standing = 'lapsed'
    follow_writers()
  end
  r.standing, r.expires, r.tokens = 'held', S.now + LEASE_MS, { fresh_token, S.now }
end
save_writer(name)
follow_writers()
return finish(replaced)
`}`;

/** ARGV from 4: the writer and a token of its last lease, or nothing if it never got one. */
export const releaseLease = `${issued}${`
load_writers()
local r = S.records[ARGV[4]]
if r and (#r.tokens == 0 and ARGV[5] == '' or issued(r, ARGV[5])) then
  grant()
  r.standing = 'released'
  save_writer(ARGV[4])
  follow_writers()
end
return finish('')
`}`;
