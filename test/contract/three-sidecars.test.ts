import { afterAll, beforeAll, describe } from "vitest";
import { PostgresServer } from "../support/postgres/postgres-server.js";
import { hasPostgres } from "../support/postgres/programs.js";
import { useSchemas } from "../support/postgres/schemas.js";
import { hasRedisServer, RedisProcess } from "../support/redis/processes.js";
import { type MakeSidecars, makeThreeSidecars } from "../support/store/three-sidecars.js";
import { targetOf } from "../support/tier/topologies.js";
import { describeSharedTier, describeSidecars } from "./sidecars.js";
import { describeStore } from "./store-contract.js";

const isHere = hasPostgres() && (await hasRedisServer());

describe.skipIf(!isHere).each([
  { what: "without a tier", hasTier: false },
  { what: "with a tier", hasTier: true },
])("each call at another one of three sidecars, $what", ({ hasTier }) => {
  let server: PostgresServer;
  let redis: RedisProcess | undefined;
  const schemas = useSchemas(() => server);
  beforeAll(async () => {
    server = await PostgresServer.start({ fsync: "off" });
    await schemas.create();
    redis = hasTier ? await RedisProcess.start() : undefined;
  });
  afterAll(async () => {
    await redis?.stop();
    await server.stop();
  });

  const makeSidecars: MakeSidecars = (options) => {
    const tier = redis && targetOf("single", [redis.port]);
    return makeThreeSidecars({ log: server.target(), schema: schemas.next(), tier }, options);
  };

  describeStore("memory over a PostgreSQL log", makeSidecars);
  describeSidecars(makeSidecars);
  if (hasTier) describeSharedTier(makeSidecars);
});
