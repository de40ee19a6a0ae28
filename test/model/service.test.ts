import fc from "fast-check";
import { afterEach, beforeEach, describe, it, vi } from "vitest";
import type { Epoch } from "../../src/core/model/types.js";
import { auditedSidecar } from "../support/model/audit.js";
import { checkedSidecar } from "../support/model/checked-sidecar.js";
import { commandArbitraries } from "../support/model/commands.js";
import { connectOverSocket } from "../support/model/grpc-connection.js";
import { startMemoryHost } from "../support/model/memory-host.js";
import { runSettings } from "../support/model/run-settings.js";
import { World } from "../support/model/world.js";

const { runs, commands, timeoutMs } = runSettings(100);

describe("the running service", () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] }));
  afterEach(() => void vi.useRealTimers());

  it(
    "answers as the reference does, call by call",
    async () => {
      await fc.assert(
        fc.asyncProperty(fc.commands(commandArbitraries({ waits: true }), commands), async (acts) => {
          const epochs = new Set<Epoch>();
          const host = await startMemoryHost({
            tinyBytes: undefined,
            connect: connectOverSocket,
            watch: (sidecar, around) => checkedSidecar(sidecar, around, { epochs, comparesFrames: false }),
          });
          const world = new World(host, { turn: async () => {} });
          await fc.asyncModelRun(() => ({ model: {}, real: world }), acts);
          await world.close();
        }),
        runs,
      );
    },
    timeoutMs,
  );

  it(
    "serves nothing outdated to clients whose calls overlap and are given up now and then",
    async () => {
      await fc.assert(
        fc.asyncProperty(
          fc.scheduler({ act: onItsWay }),
          fc.commands(commandArbitraries({ waits: false }), commands),
          // One call in four is given up at some point of its way, and made again.
          fc.infiniteStream(fc.option(fc.nat({ max: 12 }), { nil: undefined, freq: 4 })),
          async (scheduler, acts, turns) => {
            const host = await startMemoryHost({
              tinyBytes: undefined,
              connect: (store) => connectOverSocket(store, () => turns.next().value),
              watch: (sidecar) => auditedSidecar(sidecar),
            });
            const stage = { turn: (label: string) => scheduler.schedule(Promise.resolve(), label) };
            const world = new World(host, stage);
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

/** What one turn calls is under way, no more, when the next begins. */
async function onItsWay(turn: () => Promise<unknown>): Promise<void> {
  await turn();
  await new Promise((resolve) => setImmediate(resolve));
}
