import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { auditedSidecar } from "../support/model/audit.js";
import { commandArbitraries } from "../support/model/commands.js";
import {
  arrangeCluster,
  arrangeReplicated,
  arrangeSentinel,
  arrangeSingle,
} from "../support/model/redis-arrangements.js";
import { redisCommands } from "../support/model/redis-commands.js";
import type { Arrangement } from "../support/model/redis-faults.js";
import { SIDECARS, startRedisHost } from "../support/model/redis-host.js";
import { runSettings } from "../support/model/run-settings.js";
import type { Sidecar } from "../support/model/sidecar.js";
import { seededRandom, soak } from "../support/model/soak.js";
import { tally } from "../support/model/truth.js";
import { World } from "../support/model/world.js";
import { hasRedisServer } from "../support/redis/processes.js";

const ARRANGEMENTS = [
  { what: "one Redis", arrange: arrangeSingle, runs: 25, epochsMayReturn: false },
  {
    what: "a primary with two replicas",
    arrange: () => arrangeReplicated(SIDECARS),
    runs: 8,
    epochsMayReturn: true,
  },
  // Sentinels take seconds for what befalls a server: too long for stories.
  { what: "Sentinels", arrange: arrangeSentinel, runs: 0, epochsMayReturn: true },
  { what: "a Cluster", arrange: arrangeCluster, runs: 8, epochsMayReturn: true },
];

const isHere = await hasRedisServer();

describe.skipIf(!isHere).each(ARRANGEMENTS)(
  "three sidecars over $what",
  ({ arrange, runs: count, epochsMayReturn }) => {
    const { runs, commands, timeoutMs, soakMs } = runSettings(count);
    let redis: Arrangement;
    beforeAll(async () => {
      redis = await arrange();
    });
    afterAll(async () => {
      await redis.stop();
      console.info(`${tally.reads} events read so far, of which ${tally.hits} were hits and are true`);
    });
    const watch = (sidecar: Sidecar) => auditedSidecar(sidecar, { epochsMayReturn });

    const stories = [
      { what: "", hasFaults: false },
      { what: ", whatever happens to Redis", hasFaults: true },
    ];
    it.each(count > 0 ? stories : [])(
      "serve nothing outdated to clients whose calls overlap$what",
      async ({ hasFaults }) => {
        const faults = hasFaults ? redisCommands(Object.keys(redis.faults)) : [];
        await fc.assert(
          fc.asyncProperty(
            fc.scheduler({ act: onItsWay }),
            fc.commands([...commandArbitraries({ waits: false }), ...faults], commands),
            fc.constantFrom(true, true, false),
            async (scheduler, acts, isLeased) => {
              const host = await startRedisHost(redis, watch);
              const stage = { turn: (label: string) => scheduler.schedule(Promise.resolve(), label) };
              const world = new World(host, stage, { isLeased });
              await fc.scheduledModelRun(scheduler, () => ({ model: {}, real: world }), acts);
              await scheduler.waitFor(world.ended());
              await world.close();
            },
          ),
          runs,
        );
      },
      timeoutMs,
    );

    it(
      "serve nothing outdated to readers in a hurry, whatever happens to Redis",
      async () => {
        const seed = runs.seed ?? Date.now();
        const random = seededRandom(seed);
        try {
          const figures = await soak(redis, { sidecars: SIDECARS, forMs: soakMs, random });
          console.info(`seed ${seed}:`, figures);
          expect(figures.hits).toBeGreaterThan(0);
          expect(figures.changes).toBeGreaterThan(0);
          expect(figures.notices).toBeGreaterThan(0);
        } catch (cause) {
          throw new Error(`seed ${seed}`, { cause });
        }
      },
      timeoutMs,
    );
  },
);

/** What one turn calls is under way, no more, when the next begins. */
async function onItsWay(turn: () => Promise<unknown>): Promise<void> {
  await turn();
  await new Promise((resolve) => setImmediate(resolve));
}
