import fc from "fast-check";
import { afterEach, beforeEach, describe, it, vi } from "vitest";
import type { Epoch } from "../../src/core/model/types.js";
import { auditedSidecar } from "../support/model/oracle/audit.js";
import { checkedSidecar } from "../support/model/oracle/checked-sidecar.js";
import { commandArbitraries } from "../support/model/runs/commands.js";
import { runSettings } from "../support/model/runs/run-settings.js";
import { Scenario } from "../support/model/runs/scenario.js";
import { connectOverSocket } from "../support/model/system/grpc-connection.js";
import { startMemoryHost } from "../support/model/system/memory-system.js";

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
          const system = await startMemoryHost({
            tinyBytes: undefined,
            connect: connectOverSocket,
            watch: (sidecar, around) => checkedSidecar(sidecar, around, { epochs, comparesFrames: false }),
          });
          const scenario = new Scenario(system, { turn: async () => {} });
          await fc.asyncModelRun(() => ({ model: {}, real: scenario }), acts);
          await scenario.close();
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
          async (interleaving, acts, turns) => {
            const system = await startMemoryHost({
              tinyBytes: undefined,
              connect: (store) => connectOverSocket(store, () => turns.next().value),
              watch: (sidecar) => auditedSidecar(sidecar),
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

/** What one turn calls is under way, no more, when the next begins. */
async function onItsWay(turn: () => Promise<unknown>): Promise<void> {
  await turn();
  await new Promise((resolve) => setImmediate(resolve));
}
