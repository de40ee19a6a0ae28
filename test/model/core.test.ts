import fc from "fast-check";
import { afterEach, beforeEach, describe, it, vi } from "vitest";
import type { Epoch } from "../../src/core/model/types.js";
import { checkedSidecar } from "../support/model/oracle/checked-sidecar.js";
import { commandArbitraries } from "../support/model/runs/commands.js";
import { runSettings } from "../support/model/runs/run-settings.js";
import { Scenario } from "../support/model/runs/scenario.js";
import { startMemoryHost } from "../support/model/system/memory-system.js";
import { storeSidecar } from "../support/model/system/sidecar.js";

const { runs, commands, timeoutMs } = runSettings(500);

describe("the memory store, its clients' steps interleaved", () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] }));
  afterEach(() => void vi.useRealTimers());

  it.each([
    { size: "large", tinyBytes: [undefined] },
    { size: "so small that it evicts entries and lets changes go", tinyBytes: [12_000, 16_000, 24_000] },
  ])(
    "answers as the reference does and serves nothing outdated, when it is $size",
    async ({ tinyBytes }) => {
      await fc.assert(
        fc.asyncProperty(
          fc.scheduler({ act: toItsEnd }),
          fc.commands(commandArbitraries({ waits: false }), commands),
          fc.constantFrom(...tinyBytes),
          async (interleaving, acts, tiny) => {
            const epochs = new Set<Epoch>();
            const system = await startMemoryHost({
              tinyBytes: tiny,
              connect: async (store) => ({ sidecar: storeSidecar(store), close: async () => {} }),
              watch: (sidecar, around) => checkedSidecar(sidecar, around, { epochs, comparesFrames: true }),
            });
            const scheduler = { turn: (label: string) => interleaving.schedule(Promise.resolve(), label) };
            const scenario = new Scenario(system, scheduler);
            await fc.scheduledModelRun(interleaving, () => ({ model: {}, real: scenario }), acts);
            await interleaving.waitFor(scenario.ended());
            await scenario.close();
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
