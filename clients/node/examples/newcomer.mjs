// Reads through the cache, writes with the outbox, follows changes, and survives a restart.
// Run: DATABASE_URL=postgres://… node newcomer.mjs [ADDRESS]. Commands: `read ID`, `write ID TEXT`.
import { readFile, writeFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import { formatPosition, parsePosition, SplitCache } from "@splitcache/client";
import pg from "pg";

const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL });
await pool.query("CREATE TABLE IF NOT EXISTS events (id TEXT PRIMARY KEY, room TEXT, body TEXT)");
const UPSERT = "INSERT INTO events VALUES ($1, '!r', $2) ON CONFLICT (id) DO UPDATE SET body = $2";

const cache = await SplitCache.connect({
  address: process.argv[2] ?? "127.0.0.1:50051",
  homeserver: "example.org",
  nearCache: { maxBytes: 64 * 2 ** 20 },
  outbox: {
    connect: async () => {
      const client = new pg.Client(process.env.DATABASE_URL);
      await client.connect();
      return client;
    },
  },
  onWarning: (message) => console.error(message),
});

async function fromDatabase(ids) {
  const { rows } = await pool.query("SELECT id, room, body FROM events WHERE id = ANY($1)", [ids]);
  return rows.map(({ id, room, body }) => ({ eventId: id, roomId: room, roomVersion: "11", body }));
}

/** Continues where the last run of this program ended. */
async function follow(signal) {
  const stored = await readFile("position", "utf8").catch(() => "");
  const resumeAfter = stored === "" ? undefined : parsePosition(stored);
  for await (const change of cache.changes({ resumeAfter, signal })) {
    console.log(change.kind, change.eventIds?.join() ?? change.eventId ?? "");
    await writeFile("position", formatPosition(change.position));
  }
}

const stop = new AbortController();
const following = follow(stop.signal);
for await (const line of createInterface({ input: process.stdin })) {
  const [command, id, ...text] = line.split(" ");
  if (command === "write") {
    const body = JSON.stringify({ content: { body: text.join(" ") } });
    const { isVisible } = await cache.outbox.transaction(pool, async (client, changed) => {
      await client.query(UPSERT, [id, body]);
      changed({ events: { "!r": [id] } });
    });
    console.log("written", isVisible ? "and visible" : "and left to the relays");
  } else {
    const event = (await cache.getOrFetch([id], fromDatabase)).get(id);
    console.log("read", event ? event.body.toString() : "(none)");
  }
}
stop.abort();
await following;
await cache.close();
await pool.end();
