import fc from "fast-check";
import { afterEach, beforeEach, describe, it, vi } from "vitest";
import type { Epoch } from "../../src/core/types.js";
import { checkedSidecar } from "../support/model/checked-sidecar.js";
import { commandArbitraries } from "../support/model/commands.js";
import { ROOMY_BYTES, startMemoryHost } from "../support/model/memory-host.js";
import { runSettings } from "../support/model/run-settings.js";
import { storeSidecar } from "../support/model/sidecar.js";
import { World } from "../support/model/world.js";

const { runs, commands, timeoutMs } = runSettings(500);

describe("the memory store, its clients' steps interleaved", () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] }));
  afterEach(() => void vi.useRealTimers());

  it.each([
    { size: "large", memoryKib: [ROOMY_BYTES / 1024] },
    { size: "so small that it evicts entries and lets changes go", memoryKib: [10, 14, 20] },
  ])(
    "answers as the reference does and serves nothing outdated, when it is $size",
    async ({ memoryKib }) => {
      await fc.assert(
        fc.asyncProperty(
          fc.scheduler({ act: toItsEnd }),
          fc.commands(commandArbitraries({ waits: false }), commands),
          fc.constantFrom(...memoryKib),
          fc.constantFrom(true, true, false),
          async (scheduler, acts, kib, isLeased) => {
            const epochs = new Set<Epoch>();
            const host = await startMemoryHost({
              memoryBytes: kib * 1024,
              connect: async (store) => ({ sidecar: storeSidecar(store), close: async () => {} }),
              watch: (sidecar, around) => checkedSidecar(sidecar, around, { epochs, comparesFrames: true }),
            });
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

/** What one turn calls is answered before the next begins: the store works in the order of its calls. */
async function toItsEnd(turn: () => Promise<unknown>): Promise<void> {
  await turn();
  await new Promise((resolve) => setImmediate(resolve));
}
