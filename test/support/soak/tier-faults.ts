import { eventually } from "../eventually.js";
import { RedisProcess } from "../redis/processes.js";
import type { TierServer } from "./cluster.js";
import { type Below, type Fault, longMs } from "./fault.js";
import { pause } from "./random.js";

/** Every policy by which Redis may evict, or refuse to. */
const POLICIES = [
  "noeviction",
  "allkeys-lru",
  "allkeys-lfu",
  "allkeys-random",
  "volatile-lru",
  "volatile-lfu",
  "volatile-random",
  "volatile-ttl",
];

export const ofTier: Readonly<Record<string, Fault>> = {
  "the tier is emptied": ofRedis(async ({ redis }) => void (await redis.command("FLUSHALL"))),
  "the tier returns to old data": ofRedis(async ({ redis }, below) => {
    await redis.command("EVAL", COPY_ALL, "0", "splitcache*", "", "old:");
    await pause(longMs(below));
    await redis.command("EVAL", COPY_ALL, "0", "old:*", "old:", "");
  }),
  "the tier starts again with old data": ofRedis(async ({ redis }, below) => {
    await redis.command("SAVE");
    await pause(longMs(below));
    await redis.restoreSaved();
  }),
  "the tier evicts": ofRedis(async ({ redis }, below) => {
    const policy = POLICIES[below(POLICIES.length)]!;
    const used = Number(/used_memory:(\d+)/.exec(await redis.command<string>("INFO", "memory"))![1]);
    await redis.command("CONFIG", "SET", "maxmemory-policy", policy, "maxmemory", String(used - (used >> 3)));
    await pause(longMs(below));
    await redis.command("CONFIG", "SET", "maxmemory", "0");
  }),
  "a replica of the tier is promoted": ofRedis(async (tier, below) => {
    const replica = await RedisProcess.start();
    try {
      // By command, so that it does not become a replica again when it is started again.
      await replica.command("REPLICAOF", "127.0.0.1", String(tier.redis.port));
      await eventually(async () => {
        const info = await replica.command<string>("INFO", "replication");
        if (!info.includes("master_link_status:up")) throw new Error("the replica has no data yet");
      });
      // It may lack what the primary took last.
      if (below(2) === 0) await tier.redis.command("CLIENT", "KILL", "TYPE", "replica");
      await pause(below(500));
    } catch (error) {
      await replica.stop();
      throw error;
    }
    await tier.failOver(replica);
  }),
  "the tier's values are exchanged": ofRedis(
    async ({ redis }) => void (await redis.command("EVAL", EXCHANGE, "0")),
  ),
  "the tier's values are damaged": ofRedis(async ({ redis }, below) => {
    await redis.command("EVAL", DAMAGE, "0", String(below(200)));
  }),
  "the tier's keys hold anything": ofRedis(async ({ redis }, below) => {
    await redis.command("EVAL", REPLACE, "0", String(below(1000)));
  }),
  "the tier stands still": ofRedis(async ({ redis }, below) => {
    redis.signal("SIGSTOP");
    await pause(longMs(below));
    redis.signal("SIGCONT");
  }),
  "the tier is killed": ofRedis(async ({ redis }, below) => {
    await redis.kill();
    await pause(below(1000));
    await redis.launch();
  }),
  "the link to the tier is cut": ofRedis(async ({ link }) => link.drop()),
  "the link to the tier is held up": ofRedis(async ({ link }, below) => {
    link.set(below(2) === 0 ? { toServer: "held" } : { fromServer: "held" });
    await pause(longMs(below));
    link.set({});
  }),
};

function ofRedis(disturb: (tier: TierServer, below: Below) => Promise<void>): Fault {
  return ({ tier }, below) => disturb(tier!, below);
}

const COPY_ALL = `for _, key in ipairs(redis.call('KEYS', ARGV[1])) do
  redis.call('COPY', key, ARGV[3] .. string.sub(key, #ARGV[2] + 1), 'REPLACE')
end`;
const EXCHANGE = `local keys = redis.call('KEYS', 'splitcache*')
for at = 1, #keys - 1 do redis.call('COPY', keys[at + 1], keys[at], 'REPLACE') end`;
const DAMAGE = `for _, key in ipairs(redis.call('KEYS', 'splitcache*')) do
  if redis.call('TYPE', key).ok == 'string' then redis.call('SETRANGE', key, ARGV[1], 'x') end
end`;
/** Of three keys one gets another type, one a part of its value, one stays. */
const REPLACE = `for at, key in ipairs(redis.call('KEYS', 'splitcache*')) do
  if at % 3 == 0 then
    redis.call('DEL', key)
    redis.call('RPUSH', key, 'garbage')
  elseif at % 3 == 1 and redis.call('TYPE', key).ok == 'string' then
    redis.call('SET', key, redis.call('GETRANGE', key, 0, ARGV[1]))
  end
end`;
