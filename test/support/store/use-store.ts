import { afterEach } from "vitest";
import type { StoreHarness } from "./store-harness.js";

/** Makes stores for the tests of a suite, and closes them after each. */
export function useStores<Options extends readonly unknown[], Harness extends StoreHarness>(
  makeStore: (...options: Options) => Harness,
): (...options: Options) => Harness {
  const open: Harness[] = [];
  afterEach(async () => {
    for (const { store } of open.splice(0)) await store.close();
  });
  return (...options) => {
    const harness = makeStore(...options);
    open.push(harness);
    return harness;
  };
}
