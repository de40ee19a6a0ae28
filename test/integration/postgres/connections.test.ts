import { once } from "node:events";
import { createServer } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { schemaSql } from "../../../src/log/postgres/schema/schema-sql.js";
import { eventually } from "../../support/eventually.js";
import { closeLogsAfterEach, startLog } from "../../support/postgres/log-harness.js";
import { PostgresServer } from "../../support/postgres/postgres-server.js";
import { hasPostgres } from "../../support/postgres/programs.js";
import { invalidated } from "../../support/postgres/recording-copy.js";

describe.skipIf(!hasPostgres())("connections of the PostgreSQL log", () => {
  let server: PostgresServer;
  beforeAll(async () => {
    server = await PostgresServer.start();
  });
  afterAll(() => server.stop());
  closeLogsAfterEach();

  it("a pooler that takes no parameters of a session: none is sent", async () => {
    const started: string[] = [];
    const pooler = createServer((socket) => {
      socket.on("error", () => {});
      socket.once("data", (bytes) => {
        started.push(bytes.toString("latin1"));
        socket.destroy();
      });
    }).listen(0, "127.0.0.1");
    await once(pooler, "listening");
    const { port } = pooler.address() as { port: number };
    startLog(server.target({ socketDirectory: undefined, port }));
    await eventually(() => expect(started).not.toHaveLength(0));
    pooler.close();
    expect(started[0]).not.toMatch(/timeout/);
  });

  it("a server that answers no more while a connection is prepared", async () => {
    await server.query(schemaSql("slow_to_open"));
    const client = await server.connect();
    await client.query("begin; lock table slow_to_open.cluster");
    const sidecar = startLog(server.target(), {
      schema: "slow_to_open",
      limits: { lockMs: 0, answerMs: 300 },
    });
    await eventually(() => expect(sidecar.failures.map(({ cause }) => cause)).toContain("noAnswer"));
    await client.query("rollback");
    await client.end();
    await sidecar.follow().untilCurrent();
  });

  it("locks of some homeservers do not reject the changes of others", async () => {
    const sidecar = startLog(server.target(), { schema: "locked_heads" });
    const names = ["a", "b", "c", "d", "e", "f", "g", "h"].map((letter) => `${letter}.locked.example`);
    const [free, ...locked] = names.map((name) => sidecar.follow(name));
    await Promise.all([free!, ...locked].map(({ untilCurrent }) => untilCurrent()));
    const client = await server.connect();
    await client.query(
      "begin; select from locked_heads.head where homeserver <> 'a.locked.example' for update",
    );
    const refused = locked.map((one) => one.append(invalidated("$1")).catch((error: unknown) => error));
    await free!.append(invalidated("$1"));
    for (const one of await Promise.all(refused)) expect(one).toMatchObject({ kind: "unavailable" });
    expect(sidecar.failures.map(({ cause }) => cause)).toEqual(["lock"]);
    expect(sidecar.states).toEqual(["up"]);
    await client.query("rollback");
    await client.end();
  });
});
