import { afterAll, beforeAll, describe } from "vitest";
import { hasRedisServer } from "../support/redis/processes.js";
import { makeRedisHarness } from "../support/redis/redis-harness.js";
import { startCluster, startSentinel, startSingle, type Topology } from "../support/redis/topologies.js";
import { describeStore } from "./store-contract.js";

const isHere = await hasRedisServer();

// A store does not announce anything on a primary that it has not known for a proof's lifetime; but where replicas
// must acknowledge it, a busy machine needs longer.
describe.skipIf(!isHere).each<[string, () => Promise<Topology>, proofLifetimeMs: number]>([
  ["one Redis", startSingle, 200],
  ["Sentinel", startSentinel, 400],
  ["a Cluster", startCluster, 400],
])("over %s", (name, start, proofLifetimeMs) => {
  let redis: Topology;
  beforeAll(async () => {
    redis = await start();
  }, 60_000);
  afterAll(() => redis.stop());

  describeStore(`redis (${name})`, (options) => makeRedisHarness(redis, { proofLifetimeMs, ...options }));
});
