import { afterAll, beforeAll, describe } from "vitest";
import { hasRedisServer } from "../support/redis/processes.js";
import { makeRedisHarness } from "../support/redis/redis-harness.js";
import { startCluster, startSentinel, startSingle, type Topology } from "../support/redis/topologies.js";
import { describeStore } from "./store-contract.js";

const isHere = await hasRedisServer();

describe.skipIf(!isHere).each<[string, () => Promise<Topology>]>([
  ["one Redis", startSingle],
  ["Sentinel", startSentinel],
  ["a Cluster", startCluster],
])("over %s", (name, start) => {
  let redis: Topology;
  beforeAll(async () => {
    redis = await start();
  }, 60_000);
  afterAll(() => redis.stop());

  // A store does not announce anything on a primary that it has not known for this long.
  const proofLifetimeMs = 200;
  describeStore(`redis (${name})`, (options) => makeRedisHarness(redis, { proofLifetimeMs, ...options }));
});
