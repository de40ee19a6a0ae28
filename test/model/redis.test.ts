import fc from "fast-check";
import { afterAll, beforeAll, describe, it } from "vitest";
import { auditedSidecar } from "../support/model/audit.js";
import { type Command, commandArbitraries } from "../support/model/commands.js";
import { REDIS_FAULTS, type RedisHost, startRedisHost } from "../support/model/redis-host.js";
import { runSettings } from "../support/model/run-settings.js";
import { World } from "../support/model/world.js";
import { hasRedisServer } from "../support/redis/processes.js";
import { startSingle, type Topology } from "../support/redis/topologies.js";

const { runs, commands, timeoutMs } = runSettings(25);

describe.skipIf(!(await hasRedisServer()))("three sidecars over one Redis", () => {
  let redis: Topology;
  beforeAll(async () => {
    redis = await startSingle();
  });
  afterAll(() => redis.stop());

  it.each([
    { what: "", faults: [] },
    { what: ", whatever happens to Redis", faults: REDIS_FAULTS },
  ])(
    "serve nothing outdated to clients whose calls overlap$what",
    async ({ faults }) => {
      await fc.assert(
        fc.asyncProperty(
          fc.scheduler({ act: onItsWay }),
          fc.commands([...commandArbitraries({ waits: false }), ...faultCommands(faults)], commands),
          fc.constantFrom(true, true, false),
          async (scheduler, acts, isLeased) => {
            const host = await startRedisHost(redis, auditedSidecar);
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
});

/** Twice, so that something befalls Redis in every run. */
function faultCommands(faults: typeof REDIS_FAULTS | readonly never[]): fc.Arbitrary<Command>[] {
  if (faults.length === 0) return [];
  const one = fc.tuple(fc.constantFrom(...faults), fc.nat()).map(
    ([fault, at]): Command => ({
      check: () => true,
      async run(_, world) {
        world.check();
        await (world.host as RedisHost).fault(fault, at);
      },
      toString: () => `Redis ${fault} (${at})`,
    }),
  );
  return [one, one];
}

/** What one turn calls is under way, no more, when the next begins. */
async function onItsWay(turn: () => Promise<unknown>): Promise<void> {
  await turn();
  await new Promise((resolve) => setImmediate(resolve));
}
