import { createHash } from "node:crypto";
import * as events from "./lua/events.js";
import * as leases from "./lua/leases.js";
import { prelude } from "./lua/prelude.js";
import { replicasIn } from "./lua/replication.js";

/** A script as the server caches it. */
export interface Script {
  readonly name: string;
  readonly text: string;
  readonly sha1: string;
}

/**
 * KEYS 1: a key. ARGV 1: a value. Writes it, which a replica and a server that is too old refuse, and answers the
 * server's replication ID, how many replicas follow it, its clock in milliseconds, the ID of its process, and whether
 * it is a primary that has taken over from no other.
 */
const proof = (clock: string, versionMin: number) => `${replicasIn}
local server = redis.call('INFO', 'server')
local version = string.match(server, 'redis_version:([%d.]+)')
if tonumber(string.match(version, '%d+')) < ${versionMin} then
  return redis.error_reply('ERR Redis ' .. version .. ' is too old, ${versionMin}.0 or later is needed')
end
local info = redis.call('INFO', 'replication')
-- A replica may be one that takes writes.
if not string.find(info, 'role:master', 1, true) then
  return redis.error_reply('READONLY this server is not the primary')
end
redis.call('UNLINK', KEYS[1])
redis.call('SET', KEYS[1], ARGV[1], 'PX', 60000)
local time = ${clock}
return { string.match(info, 'master_replid:(%x+)'), replicas_in(info), time[1] * 1000 + math.floor(time[2] / 1000),
  string.match(server, 'run_id:(%x+)'),
  string.find(info, 'master_replid2:0000000000', 1, true) and 1 or 0 }
`;

/** The first with sharded channels. A Valkey names a Redis that it stands for. */
const REDIS_VERSION_MIN = 7;

/** The server's clock, in Lua: seconds and microseconds. */
export const SERVER_CLOCK = "redis.call('TIME')";

/** All scripts; one operation each, so that each is atomic. */
export function makeScripts(clock: string, versionMin = REDIS_VERSION_MIN) {
  const start = prelude(clock);
  const onHomeserver = (name: string, body: string) => scriptOf(name, start + body);
  return {
    getEvents: onHomeserver("getEvents", events.getEvents),
    putEvents: onHomeserver("putEvents", events.putEvents),
    setState: onHomeserver("setState", events.setState),
    invalidateEvents: onHomeserver("invalidateEvents", events.invalidateEvents),
    purgeRoom: onHomeserver("purgeRoom", events.purgeRoom),
    purgeHomeserver: onHomeserver("purgeHomeserver", events.purgeHomeserver),
    readLog: onHomeserver("readLog", events.readLog),
    declareWriters: onHomeserver("declareWriters", leases.declareWriters),
    renewLease: onHomeserver("renewLease", leases.renewLease),
    releaseLease: onHomeserver("releaseLease", leases.releaseLease),
    proof: scriptOf("proof", proof(clock, versionMin)),
  };
}

export type Scripts = ReturnType<typeof makeScripts>;

function scriptOf(name: string, text: string): Script {
  return { name, text, sha1: createHash("sha1").update(text).digest("hex") };
}
