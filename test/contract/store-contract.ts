import { describe } from "vitest";
import type { MakeStore } from "../support/store/store-harness.js";
import { describeReads } from "./reads.js";
import { describeSubscriptions } from "./subscriptions.js";
import { describeWalks } from "./walks.js";
import { describeWrites } from "./writes.js";

/** What every store must do. A store that passes may stand behind the service. */
export function describeStore(name: string, makeStore: MakeStore): void {
  describe(`${name} store`, () => {
    describeWalks(makeStore);
    describeReads(makeStore);
    describeWrites(makeStore);
    describeSubscriptions(makeStore);
  });
}
