import { afterEach } from "vitest";
import type { MakeStore, StoreHarness } from "./store-harness.js";

/** Makes stores for the tests of a suite, and closes them after each. */
export function useStores(makeStore: MakeStore): (...options: Parameters<MakeStore>) => StoreHarness {
  const open: StoreHarness[] = [];
  afterEach(async () => {
    for (const { store } of open.splice(0)) await store.close();
  });
  return (...options) => {
    const harness = makeStore(...options);
    open.push(harness);
    return harness;
  };
}
