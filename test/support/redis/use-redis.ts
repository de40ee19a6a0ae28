import { randomUUID } from "node:crypto";
import { afterAll, afterEach, beforeAll, beforeEach } from "vitest";
import { ALPHA, asHomeserver } from "../store-harness.js";
import { useStores } from "../use-store.js";
import { makeRedisHarness } from "./redis-harness.js";
import { startSingle, type Topology } from "./topologies.js";

/** Short, so that doubt and what ends it come soon. */
export const PROOF_MS = 300;

/** One redis-server for the tests of a suite; each test's stores share keys that no other test has. */
export function useRedis() {
  let redis: Topology;
  let keyPrefix: string;
  beforeAll(async () => {
    redis = await startSingle();
  });
  beforeEach(() => {
    keyPrefix = `shared-${randomUUID()}`;
  });
  afterEach(() => redis.servers[0]!.signal("SIGCONT"));
  afterAll(() => redis.stop());

  const newStore = useStores((options: Parameters<typeof makeRedisHarness>[1] = {}) =>
    makeRedisHarness(redis, { keyPrefix, proofLifetimeMs: PROOF_MS, ...options }),
  );
  return {
    server: () => redis.servers[0]!,
    keyPrefix: () => keyPrefix,
    /** The key of the homeserver ALPHA that ends so. */
    key: (rest: string) => `${keyPrefix}:v1:{${ALPHA}}:${rest}`,
    /** All keys that begin so. */
    keysOf: (prefix: string) => redis.keys(prefix),
    newStore,
    newAlpha: (...options: Parameters<typeof newStore>) => {
      const harness = newStore(...options);
      return { ...harness, alpha: asHomeserver(harness.store, ALPHA) };
    },
  };
}
