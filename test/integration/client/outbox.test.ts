import pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { outboxRow } from "../../../src/client/outbox/announcement.js";
import { insertRow, type Queryable } from "../../../src/client/outbox/outbox-table.js";
import type { SplitCache } from "../../../src/client/split-cache.js";
import { event, useClients } from "../../support/client/use-clients.js";
import { eventually } from "../../support/eventually.js";
import { PostgresServer, SUPERUSER } from "../../support/postgres/postgres-server.js";
import { hasPostgres } from "../../support/postgres/programs.js";

describe.skipIf(!hasPostgres())("the outbox of the client", () => {
  const { start, connect, ends } = useClients();
  let postgres: PostgresServer;
  let databases = 0;

  beforeAll(async () => {
    postgres = await PostgresServer.start();
  });

  afterAll(() => postgres.stop());

  /** A homeserver's database with events, and a pool on it. */
  async function newDatabase() {
    databases += 1;
    const database = `hs${databases}`;
    await postgres.query(`CREATE DATABASE ${database}`);
    const target = { host: "127.0.0.1", port: postgres.port, user: SUPERUSER, database };
    const pool = new pg.Pool(target);
    pool.on("error", () => undefined);
    ends.push(() => pool.end());
    await pool.query("CREATE TABLE events (id TEXT PRIMARY KEY, body TEXT NOT NULL)");
    await pool.query("INSERT INTO events VALUES ('$a', $1)", [event("$a", "before").body]);
    const options = {
      nearCache: { maxBytes: 2 ** 20 },
      outbox: {
        connect: async () => {
          const client = new pg.Client(target);
          await client.connect();
          return client;
        },
      },
    };
    return { pool, options };
  }

  const fetchFrom = (pool: pg.Pool) => async (missing: readonly string[]) => {
    const { rows } = await pool.query("SELECT id, body FROM events WHERE id = ANY($1)", [missing]);
    return rows.map(({ id, body }) => ({ ...event(id), body: body as string }));
  };
  const textOf = async (cache: SplitCache, pool: pg.Pool) =>
    JSON.parse(String((await cache.getOrFetch(["$a"], fetchFrom(pool))).get("$a")?.body)).content.body;
  const change = (client: Queryable, text: string) =>
    client.query("UPDATE events SET body = $1 WHERE id = '$a'", [event("$a", text).body]);

  it("makes a change visible to every process when the transaction has returned", async () => {
    const { address } = await start();
    const { pool, options } = await newDatabase();
    const [writer, reader] = [await connect(address, options), await connect(address, options)];
    await eventually(async () => {
      expect(await textOf(reader, pool)).toBe("before");
      expect(reader.getKept(["$a"])).toBeDefined();
    });
    const { isVisible, result } = await writer.outbox!.transaction(pool, async (client, changed) => {
      await change(client, "after");
      changed({ events: { "!room": ["$a"] } });
      return 7;
    });
    expect({ isVisible, result }).toEqual({ isVisible: true, result: 7 });
    expect((await reader.getMany(["$a"], { minPosition: await writer.position() })).missing).toEqual(["$a"]);
    await eventually(async () => expect(await textOf(reader, pool)).toBe("after"));
    expect((await pool.query("SELECT * FROM splitcache_outbox")).rows).toEqual([]);
  });

  it("adds no row, and keeps no change, when the transaction fails", async () => {
    const { address } = await start();
    const { pool, options } = await newDatabase();
    const cache = await connect(address, options);
    const failing = cache.outbox!.transaction(pool, async (client, changed) => {
      await change(client, "after");
      changed({ events: { "!room": ["$a"] } });
      throw new Error("no");
    });
    await expect(failing).rejects.toThrow("no");
    expect((await pool.query("SELECT * FROM splitcache_outbox")).rows).toEqual([]);
    expect(await textOf(cache, pool)).toBe("before");
    expect(pool.idleCount).toBe(pool.totalCount);
  });

  it("relays what a process has committed and not announced, and serves nothing older than the bound", async () => {
    const { address } = await start();
    const { pool, options } = await newDatabase();
    const cache = await connect(address, options);
    await eventually(async () => {
      expect(await textOf(cache, pool)).toBe("before");
      expect(cache.getKept(["$a"])).toBeDefined();
    });
    const client = await pool.connect();
    await client.query("BEGIN");
    await change(client, "after");
    await insertRow(client, outboxRow({ events: { "!room": ["$a"] } }));
    await client.query("COMMIT");
    client.release();
    // As if the process had died here.
    await eventually(async () => expect(await textOf(cache, pool)).toBe("after"));
    await eventually(async () =>
      expect((await pool.query("SELECT * FROM splitcache_outbox")).rows).toEqual([]),
    );
  });

  it("closes the gate while the database does not answer polls, and opens it again", async () => {
    const { address } = await start();
    const { pool, options } = await newDatabase();
    const cache = await connect(address, options);
    await eventually(async () => {
      expect(await textOf(cache, pool)).toBe("before");
      expect(cache.getKept(["$a"])).toBeDefined();
    });
    await postgres.halt();
    try {
      await eventually(() => expect(cache.outbox!.isOpen).toBe(false));
      expect(cache.getKept(["$a"])).toBeUndefined();
      expect(await cache.getMany(["$a"])).toEqual({ events: [], missing: ["$a"], asOf: undefined });
    } finally {
      await postgres.launch();
    }
    await eventually(() => expect(cache.outbox!.isOpen).toBe(true));
    // Nothing was dropped.
    await eventually(() => expect(cache.getKept(["$a"])).toBeDefined());
  });
});
