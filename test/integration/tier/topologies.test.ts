import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from "vitest";
import type { EventId } from "../../../src/core/model/types.js";
import { eventually } from "../../support/eventually.js";
import { hasRedisServer } from "../../support/redis/processes.js";
import { startCluster, startSentinel, startSingle, type Topology } from "../../support/tier/topologies.js";
import { ALPHA, BETA, entryOf, idOf, plain, useTiers } from "../../support/tier/use-tiers.js";

const ARRANGEMENTS = { "one server": startSingle, Sentinels: startSentinel, "a Cluster": startCluster };

describe.skipIf(!(await hasRedisServer())).each(Object.entries(ARRANGEMENTS))(
  "the tier over %s",
  (_, start) => {
    let topology: Topology;
    beforeAll(async () => {
      topology = await start();
    }, 60_000);
    afterAll(() => topology.stop());
    const tiers = useTiers();

    const keysOf = async (kind: string) => {
      const found = (await topology.primaries()).map((server) =>
        server.command<string[]>("KEYS", `${tiers.keyPrefix()}:${kind}:*`),
      );
      return (await Promise.all(found)).flat();
    };

    it("gives another sidecar what one has put, and nothing else", async () => {
      const one = await tiers.open(topology);
      const entries = [
        entryOf(1),
        entryOf(2, { redaction: undefined, rejected: false, rejectedReason: "" }),
        entryOf(3, { redaction: { redactedBy: "$r" as EventId, redactedBody: undefined } }),
        entryOf(4, { body: Buffer.alloc(256 * 1024, "x"), internalMetadata: Buffer.alloc(0) }),
      ];
      await one.write(ALPHA, entries);
      const other = await tiers.open(topology);
      const found = await other.read(ALPHA, [...entries.map(({ event }) => event.eventId), idOf(5)]);
      expect(plain(found)).toEqual(plain(entries));
      expect(other.tier.status()).toMatchObject({ isUp: true, entries: { requested: 5, found: 4 } });
      expect(other.logged).toEqual([expect.stringContaining("connected")]);
    });

    it("keeps one body for all homeservers, and metadata for each", async () => {
      const { write, read } = await tiers.open(topology);
      const bodiesBefore = (await keysOf("b")).length;
      await write(ALPHA, [entryOf(1)]);
      await write(BETA, [entryOf(1, { rejected: false, rejectedReason: "" })]);
      expect(await keysOf("b")).toHaveLength(bodiesBefore + 2);
      expect(await read(ALPHA, [idOf(1)])).toMatchObject([{ event: { rejected: true } }]);
      expect(await read(BETA, [idOf(1)])).toMatchObject([{ event: { rejected: false } }]);
    });

    it("reads many lookups of one turn, each getting its own", async () => {
      const { write, tier } = await tiers.open(topology);
      const entries = Array.from({ length: 200 }, (_, n) => entryOf(n, { redaction: undefined }));
      await write(ALPHA, entries);
      await eventually(async () => {
        const lookups = entries.map(({ event }) => tier.get(ALPHA, [event.eventId]));
        const found = await Promise.all(lookups);
        expect(found.map((its) => its?.[0]?.event.eventId)).toEqual(
          entries.map(({ event }) => event.eventId),
        );
      });
    });

    it("removes dropped entries", async () => {
      const { write, tier, read } = await tiers.open(topology);
      await write(ALPHA, [entryOf(1), entryOf(2)]);
      tier.drop(ALPHA, [idOf(1)]);
      await eventually(async () => {
        const found = await read(ALPHA, [idOf(1), idOf(2)]);
        expect(found.map(({ event }) => event.eventId)).toEqual([idOf(2)]);
      });
    });

    it.each(["is killed", "stands still"])(
      "recovers by itself when a primary %s",
      async (what) => {
        const { write, read, tier } = await tiers.open(topology);
        const entries = Array.from({ length: 100 }, (_, n) => entryOf(n));
        const ids = entries.map(({ event }) => event.eventId);
        await write(ALPHA, entries);
        const count = topology.target.topology === "cluster" ? 3 : 1;
        const [primary] = await afterAWhile(async () => {
          const primaries = await topology.primaries();
          expect(primaries).toHaveLength(count);
          for (const server of topology.servers.length > 1 ? primaries : [])
            expect(await server.command("INFO", "replication")).toContain("state=online");
          return primaries;
        });
        await (what === "is killed" ? primary!.kill() : primary!.signal("SIGSTOP"));
        // What is asked meanwhile neither throws nor outlives it.
        const asking = setInterval(() => {
          void tier.get(ALPHA, ids);
          tier.put(ALPHA, entries);
        }, 20);
        onTestFinished(() => clearInterval(asking));
        if (topology.servers.length > 1) {
          await afterAWhile(async () => {
            const others = topology.servers.filter((server) => server !== primary);
            const roles = await Promise.all(others.map((server) => server.command<[string]>("ROLE")));
            expect(roles.filter(([role]) => role === "master")).toHaveLength(count);
          });
          await afterAWhile(async () => expect(await read(ALPHA, ids)).toHaveLength(ids.length));
        }
        await (what === "is killed" ? primary!.launch() : primary!.signal("SIGCONT"));
        await afterAWhile(async () => expect(await read(ALPHA, ids)).toHaveLength(ids.length));
        expect(tier.status().isUp).toBe(true);
      },
      120_000,
    );
  },
);

/** Servers that replace one another take seconds, and more on a busy machine. */
function afterAWhile<T>(check: () => Promise<T>): Promise<T> {
  return vi.waitFor(check, { timeout: 30_000, interval: 50 });
}
