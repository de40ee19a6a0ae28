import fc from "fast-check";
import type { EventId } from "../../../src/core/model/types.js";
import { eventId } from "../store-harness.js";
import { fills, hearings, homes, keeps, lateKeeps, persists, races, spansMs, writes } from "./plans.js";
import { type FillPlan, persist, putAheadOfLog, readAndFill } from "./reader.js";
import type { Stage } from "./stage.js";
import { EVENTS, type World } from "./world.js";
import { type WritePlan, write } from "./writer.js";

/** Something that happens in a world. */
export type Command = fc.AsyncCommand<object, World>;

/**
 * Everything that can happen, in the proportions in which it is of use.
 * `waits`: each command is over before the next begins; otherwise what a command
 * begins goes on while others begin, as the stage decides.
 */
export function commandArbitraries({ waits }: { readonly waits: boolean }): fc.Arbitrary<Command>[] {
  const command = (label: string, act: (world: World) => Promise<void>): Command => ({
    check: () => true,
    async run(_, world) {
      world.check();
      const ended = world.begin(act(world));
      if (waits) await ended;
      world.check();
    },
    toString: () => label,
  });
  const make = <T>(arbitrary: fc.Arbitrary<T>, name: string, act: (world: World, plan: T) => Promise<void>) =>
    arbitrary.map((plan) => command(`${name} ${JSON.stringify(plan)}`, (world) => act(world, plan)));

  const fill = make(fills, "fill", ({ homes, stage }, { home, ...plan }) =>
    readAndFill(homes[home]!, plan, stage),
  );
  const warm = make(homes, "fill all at once", ({ homes }, home) => readAndFill(homes[home]!, ALL, AT_ONCE));
  const change = make(writes, "write", ({ homes, stage }, { home, ...plan }) =>
    write(homes[home]!, plan, stage),
  );
  const store = make(persists, "persist", ({ homes, stage }, { home, ...plan }) =>
    persist(homes[home]!, plan, stage),
  );
  const hear = make(hearings, "hear", ({ host, followers, stage }, { follower, frames }) =>
    followers[follower]!.hear(frames, stage, () => host.tick()),
  );
  const keep = make(keeps, "keep", ({ followers, stage }, { follower, eventId, view }) =>
    followers[follower]!.keep(eventId, view, stage),
  );
  const race = make(races, "race", async ({ homes, stage }, { home, puts, ...plan }) => {
    const changeNext = async () => {
      await stage.turn("a writer enters the race");
      await write(homes[home]!, plan, stage);
    };
    await Promise.all([readAndFill(homes[home]!, { ...ALL, refreshes: true, puts }, stage), changeNext()]);
  });
  const lateFill = make(races, "late fill", async ({ homes }, { home, puts, ...plan }) => {
    const fillAll = { ...ALL, refreshes: true, puts };
    const changeAndFill = async () => {
      await write(homes[home]!, plan, AT_ONCE);
      await readAndFill(homes[home]!, fillAll, AT_ONCE);
    };
    await readAndFill(homes[home]!, fillAll, { turn: changeAndFill });
  });
  const lateKeep = make(lateKeeps, "late keep", async ({ host, homes, followers }, keep) => {
    const { home, eventId, view, ...plan } = keep;
    const follower = followers[2 * home]!;
    const changeAndHear = async () => {
      await write(homes[home]!, plan, AT_ONCE);
      await follower.hear(100, AT_ONCE, () => host.tick());
    };
    await follower.keep(eventId, view, { turn: changeAndHear });
  });
  const burst = make(homes, "changes of other events", async ({ homes }, home) => {
    for (const one of UNRELATED) await write(homes[home]!, deletion(one), AT_ONCE);
  });
  const ahead = make(homes, "put ahead of the log", ({ homes }, home) => putAheadOfLog(homes[home]!, EVENTS));
  const time = make(spansMs, "pass", async ({ host }, ms) => host.advance(ms));
  const happening = make(fc.constantFrom(...HAPPENINGS), "happens", happen);
  const all: [number, fc.Arbitrary<Command>][] = [
    [5, fill],
    // Its two halves overlap whatever the stage.
    [waits ? 0 : 4, race],
    [4, warm],
    [2, lateFill],
    [2, lateKeep],
    [2, burst],
    [1, ahead],
    [6, change],
    [2, store],
    [3, hear],
    [3, keep],
    [2, time],
    [1, happening],
  ];
  return all.flatMap(([weight, arbitrary]) => Array.from({ length: weight }, () => arbitrary));
}

/** A stage on which nobody else gets a turn. */
export const AT_ONCE: Stage = { turn: async () => {} };
export const ALL: FillPlan = {
  eventIds: EVENTS,
  view: "redacted",
  readsOwnWrites: false,
  refreshes: false,
  puts: 1,
};
const UNRELATED = [1, 2, 3].map((one) => eventId(`$unrelated-${one}`));

function deletion(one: EventId): WritePlan {
  return { plan: { kind: "delete", eventIds: [one] }, carriesPosition: false, calls: 1 };
}

const HAPPENINGS = ["restart", "stranger", "tick", "sweep", "hangUp"] as const;

async function happen(world: World, what: (typeof HAPPENINGS)[number]): Promise<void> {
  switch (what) {
    case "restart":
      return world.restart();
    case "stranger":
      return world.stranger();
    case "tick":
      return world.host.tick();
    case "sweep":
      return world.host.sweep();
    case "hangUp":
      for (const follower of world.followers) follower.hangUp();
  }
}
