import { afterAll, beforeAll, describe } from "vitest";
import { createPostgresLog } from "../../src/log/postgres/postgres-log.js";
import { PostgresServer } from "../support/postgres/postgres-server.js";
import { hasPostgres } from "../support/postgres/programs.js";
import { useSchemas } from "../support/postgres/schemas.js";
import { type MakeStore, makeMemoryStore } from "../support/store/store-harness.js";
import { describeOneSidecar } from "./one-sidecar.js";
import { describeStore } from "./store-contract.js";

describe.skipIf(!hasPostgres())("over PostgreSQL", () => {
  let server: PostgresServer;
  const schemas = useSchemas(() => server);
  beforeAll(async () => {
    server = await PostgresServer.start({ fsync: "off" });
    await schemas.create();
  });
  afterAll(() => server.stop());

  const makeStore: MakeStore = (options) => {
    const failed = (_: unknown, message: string) => console.error(message);
    const events = { failed, up: () => {}, down: () => {} };
    const invalidationLog = createPostgresLog({ target: server.target(), schema: schemas.next(), events });
    return makeMemoryStore({ ...options, invalidationLog });
  };

  describeStore("memory over a PostgreSQL log", makeStore);
  describeOneSidecar(makeStore);
});
