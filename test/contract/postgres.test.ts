import { afterAll, beforeAll, describe } from "vitest";
import { createPostgresLog } from "../../src/log/postgres/postgres-log.js";
import { schemaSql } from "../../src/log/postgres/schema-sql.js";
import { hasPostgres, PostgresServer } from "../support/postgres/postgres-server.js";
import { type MakeStore, makeMemoryStore } from "../support/store-harness.js";
import { describeStore } from "./store-contract.js";

/** Each store has a log of its own, in a schema that is made in advance. */
const SCHEMAS = 100;

describe.skipIf(!hasPostgres())("over PostgreSQL", () => {
  let server: PostgresServer;
  let used = 0;
  beforeAll(async () => {
    server = await PostgresServer.start({ fsync: "off" });
    const client = await server.connect();
    for (let n = 0; n < SCHEMAS; n++) {
      // Nobody has used it before, so no lease of an earlier incarnation need be waited for.
      await client.query(`${schemaSql(`s${n}`)}; update s${n}.cluster set settled = true`);
    }
    await client.end();
  });
  afterAll(() => server.stop());

  const makeStore: MakeStore = (options) => {
    const schema = `s${used++ % SCHEMAS}`;
    const failed = (_: unknown, message: string) => console.error(message);
    const events = { failed, up: () => {}, down: () => {} };
    const invalidationLog = createPostgresLog({ target: server.target(), schema, events });
    return makeMemoryStore({ ...options, invalidationLog });
  };

  describeStore("memory over a PostgreSQL log", makeStore);
});
