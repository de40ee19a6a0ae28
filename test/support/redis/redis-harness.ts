import { randomUUID } from "node:crypto";
import { performance } from "node:perf_hooks";
import { CountedLog } from "../../../src/store/redis/counted-log.js";
import type { RedisLink, RedisLog } from "../../../src/store/redis/link.js";
import { createRedisStore, type RedisStoreOptions } from "../../../src/store/redis/redis-store.js";
import { NO_CREDENTIALS, type RedisTarget } from "../../../src/store/redis/target.js";
import { ALPHA, BETA, LEASE_MS, type StoreHarness, storeLogInto, TTL_MS } from "../store-harness.js";

/**
 * The server's clock in tests: for leases it stands still until it is put forward, by a
 * key beside the others of the homeserver, so that every script reaches it; without the
 * key it is `unsetMs`. Proofs go by real time, as the sidecar does.
 */
export const testClock = (unsetMs: number) => `(function()
  if string.match(KEYS[1], ':proof$') then return redis.call('TIME') end
  local moved = redis.call('GET', string.match(KEYS[1], '^(.*}:)') .. 'clock') or '${unsetMs}'
  return { 1000 + math.floor(moved / 1000), moved % 1000 * 1000 }
end)()`;

/** What a harness needs of the servers behind it. */
export interface RedisUnderTest {
  connect(clock: () => number, log: RedisLog): RedisLink;
  /** Sends a command to the server that has the key. */
  command(key: string, ...args: string[]): Promise<unknown>;
  /** All keys that begin so. */
  keys(prefix: string): Promise<readonly string[]>;
}

export const QUIET: RedisLog = {
  connected: () => {},
  disconnected: () => {},
  trouble: () => {},
  wellnessChanged: () => {},
};

/** A Redis store's options in tests, but for its keys. */
export function testStoreOptions(link: RedisLink, logged: string[]): Omit<RedisStoreOptions, "keyPrefix"> {
  return {
    link,
    memoryBytes: 32 * 1024 * 1024,
    heapBytesMax: 512 * 1024 * 1024,
    leaseDurationMs: LEASE_MS,
    metadataTtlMs: TTL_MS,
    progressIntervalMs: 5,
    sweepIntervalMs: 5,
    clock: sidecarClock,
    log: storeLogInto(logged),
    redisLog: new CountedLog(QUIET),
    serverClock: testClock(0),
  };
}

export const sidecarClock = () => performance.now();

/** A Redis store with keys of its own, whose clocks can be put forward. */
export function makeRedisHarness(
  redis: RedisUnderTest,
  options: Partial<RedisStoreOptions> = {},
): StoreHarness & { readonly keyPrefix: string } {
  let movedMs = 0;
  const logged: string[] = [];
  const keyPrefix = options.keyPrefix ?? `test-${randomUUID()}`;
  const redisLog = new CountedLog(QUIET);
  const link = options.link ?? redis.connect(sidecarClock, redisLog);
  const store = createRedisStore({ ...testStoreOptions(link, logged), keyPrefix, redisLog, ...options });
  return {
    store,
    logged,
    keyPrefix,
    ttlPrecisionMs: 2000,
    async advance(ms) {
      movedMs += ms;
      for (const name of [ALPHA, BETA]) {
        const key = `${keyPrefix}:v1:{${name}}:clock`;
        await redis.command(key, "SET", key, String(movedMs));
      }
      // Times to live are the server's own.
      for (const key of await redis.keys(keyPrefix)) {
        if (key.endsWith(":clock")) continue;
        const leftMs = Number(await redis.command(key, "PTTL", key));
        if (leftMs > 0) await redis.command(key, "PEXPIRE", key, String(leftMs - ms));
      }
    },
  };
}

export function targetOf(topology: RedisTarget["topology"], ports: readonly number[]): RedisTarget {
  return {
    topology,
    nodes: ports.map((port) => ({ host: "127.0.0.1", port })),
    primaryName: "primary",
    database: 0,
    tls: false,
    ...NO_CREDENTIALS,
  };
}
