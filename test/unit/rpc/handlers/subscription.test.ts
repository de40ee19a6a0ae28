import { setImmediate as nextTurn } from "node:timers/promises";
import { expect, it } from "vitest";
import type { EventStore } from "../../../../src/core/model/store.js";
import type { Epoch, Homeserver, SubscriptionFrame } from "../../../../src/core/model/types.js";
import { BatchCapacity } from "../../../../src/rpc/admission/batch-capacity.js";
import { Drain } from "../../../../src/rpc/admission/drain.js";
import { subscriptionFrames } from "../../../../src/rpc/handlers/subscription.js";
import { SubscriptionTable } from "../../../../src/rpc/handlers/subscription-table.js";
import { FrameEncoder } from "../../../../src/rpc/wire/subscription-frames.js";

const MIB = 2 ** 20;
const HOMESERVER = "alpha.example" as Homeserver;
const at = (sequence: number) => ({ epoch: "00".repeat(16) as Epoch, sequence });

it("gives back the room that a subscriber waited for if it ends before its batch", async () => {
  const batches = new BatchCapacity(MIB, () => 0);
  const other = { connection: undefined, homeserver: "beta.example" };
  const taken = batches.take(other, MIB)!;
  const gone = new AbortController();
  let subscribed = 0;
  const store: Pick<EventStore, "subscribe"> = {
    async *subscribe(): AsyncIterable<SubscriptionFrame> {
      subscribed += 1;
      yield { kind: "ready", position: at(0), resumed: subscribed > 1 };
      if (subscribed === 1) yield { kind: "batch", from: at(0), to: at(1), notices: [] } as never;
      // The second time the copy is not current, until the client has gone.
      else await new Promise((resolve) => gone.signal.addEventListener("abort", resolve, { once: true }));
    },
  };
  const frames = subscriptionFrames(
    {
      store: store as EventStore,
      logger: { debug: () => {}, error: () => {} } as never,
      drain: new Drain(),
      encoder: new FrameEncoder({ progressIntervalMs: 1000, silenceLimitMs: 3000 }),
      batches,
      subscriptions: new SubscriptionTable(() => 0),
    },
    { homeserver: HOMESERVER, subscriber: "w", resumeAfter: undefined } as never,
    { connection: undefined, trace: undefined, gone: gone.signal } as never,
  );
  const iterator = frames[Symbol.asyncIterator]();
  await iterator.next();
  const end = iterator.next();
  await nextTurn();
  taken.resize(0);
  while (subscribed < 2) await nextTurn();
  expect(batches.used).toBeGreaterThan(0);
  await nextTurn();
  gone.abort();
  expect((await end).done).toBe(true);
  expect(batches.used).toBe(0);
});
