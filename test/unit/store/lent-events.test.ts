import { describe, expect, it } from "vitest";
import { encodedBody } from "../../../src/core/memory/encoded-event.js";
import type { EventStore } from "../../../src/core/model/store.js";
import type { ReadResult } from "../../../src/core/model/types.js";
import { decorateStore } from "../../support/store/decorate-store.js";
import { readEvents } from "../../support/store/read-events.js";
import {
  ALPHA,
  asHomeserver,
  BETA,
  eventId,
  makeMemoryStore,
  messageEvent,
} from "../../support/store/store-harness.js";
import { useStores } from "../../support/store/use-store.js";

const laterTurn = () => new Promise(setImmediate);

describe("events that a store lends", () => {
  const newStore = useStores(makeMemoryStore);
  const request = {
    homeserver: ALPHA,
    eventIds: [eventId("$a")],
    view: "redacted",
    minPosition: undefined,
  } as const;

  async function filled() {
    const { store } = newStore();
    await asHomeserver(store, ALPHA).put([messageEvent("$a", { text: "alpha's own" })]);
    return store;
  }

  /** Drops what alpha has and puts as much of beta's into the same memory. */
  async function replaceByBeta(store: EventStore): Promise<void> {
    await asHomeserver(store, ALPHA).purge();
    await laterTurn();
    const beta = asHomeserver(store, BETA);
    for (let n = 0; n < 10; n++) await beta.put([messageEvent(`$${n}`, { text: "x".repeat(400_000) })]);
  }

  const textOf = ({ events: [event] }: ReadResult) => event && encodedBody(event.encoded).toString();

  it("can be read in the step of the lookup", async () => {
    const store = await filled();
    let seen: string | undefined;
    await store.getEvents(request, (result) => {
      seen = textOf(result);
    });
    expect(seen).toContain("alpha's own");
  });

  it("throw when they are read afterwards, in the same turn as well", async () => {
    const store = await filled();
    let kept: ReadResult | undefined;
    const keep = (result: ReadResult) => {
      kept = result;
    };
    expect(store.getEvents(request, keep)).toBeUndefined();
    expect(() => textOf(kept!)).toThrow("after it had ended");
    await laterTurn();
    expect(() => textOf(kept!)).toThrow("after it had ended");
  });

  it("throw when they are read after `take` has failed", async () => {
    const store = await filled();
    let kept: ReadResult | undefined;
    const fail = (result: ReadResult) => {
      kept = result;
      throw new Error("no room");
    };
    expect(() => store.getEvents(request, fail)).toThrow("no room");
    expect(() => textOf(kept!)).toThrow("after it had ended");
  });

  it("reach a reader through a decorator that waits before the lookup", async () => {
    const store = await filled();
    const slow = decorateStore(store, {
      getEvents: async (asked, take) => {
        await laterTurn();
        await store.getEvents(asked, take);
      },
    });
    expect(textOf(await readEvents(slow, request))).toContain("alpha's own");
    const replaced = decorateStore(store, {
      getEvents: async (asked, take) => {
        await replaceByBeta(store);
        await store.getEvents(asked, take);
      },
    });
    expect(textOf(await readEvents(replaced, request))).toBeUndefined();
  });

  it("are not served by a decorator that waits between the lookup and `take`", async () => {
    const store = await filled();
    const late = decorateStore(store, {
      getEvents: async (asked, take) => {
        let kept: ReadResult | undefined;
        await store.getEvents(asked, (result) => {
          kept = result;
        });
        await replaceByBeta(store);
        take(kept!);
      },
    });
    await expect(readEvents(late, request)).rejects.toThrow("after it had ended");
  });
});
