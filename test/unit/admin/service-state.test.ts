import { expect, it } from "vitest";
import { ServiceState } from "../../../src/admin/service-state.js";

function make() {
  const done: string[] = [];
  const note = (what: string) => () => void done.push(what);
  const state = new ServiceState({
    health: { setDrained: (isDrained) => done.push(`drained ${isDrained}`), stop: note("stop health") },
    rpc: {
      drain: note("drain"),
      endDrain: note("end drain"),
      usage: () => ({
        callsInFlight: 1,
        bytesInFlight: 2,
        readStreams: 3,
        subscriptionBytes: 4,
        auxiliaryCalls: 5,
      }),
      subscriptions: new Set(),
    },
    logger: { info: () => {} },
  });
  return { state, done };
}

it("drains once, and takes back once", () => {
  const { state, done } = make();
  for (const act of ["drain", "drain", "undrain", "undrain"] as const) state[act]();
  expect(done).toEqual(["drained true", "drain", "end drain", "drained false"]);
});

it("reports not serving before it refuses calls, and takes calls before it reports serving", () => {
  const { state, done } = make();
  state.drain();
  expect(done).toEqual(["drained true", "drain"]);
  state.undrain();
  expect(done.slice(2)).toEqual(["end drain", "drained false"]);
});

it("is not taken back once the process stops, whether it was drained or not", () => {
  const { state, done } = make();
  state.drain();
  state.stop();
  const before = done.length;
  expect(() => state.undrain()).toThrow(expect.objectContaining({ kind: "unavailable" }));
  state.drain();
  expect(done).toHaveLength(before);
});
