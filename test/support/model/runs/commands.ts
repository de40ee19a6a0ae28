import fc from "fast-check";
import type { EventId } from "../../../../src/core/model/types.js";
import { eventId } from "../../store/store-harness.js";
import { type FillPlan, persist, putAheadOfLog, readAndFill } from "../clients/reader.js";
import { type WritePlan, write } from "../clients/writer.js";
import { fills, hearings, homeservers, keeps, lateKeeps, persists, races, spansMs, writes } from "./plans.js";
import { EVENTS, type Scenario } from "./scenario.js";
import type { Scheduler } from "./scheduler.js";

/** Something that happens in a scenario. */
export type Command = fc.AsyncCommand<object, Scenario>;

/**
 * Everything that can happen, in the proportions in which it is of use.
 * `waits`: each command is over before the next begins; otherwise what a command
 * begins goes on while others begin, as the scheduler decides.
 */
export function commandArbitraries({ waits }: { readonly waits: boolean }): fc.Arbitrary<Command>[] {
  const command = (label: string, act: (scenario: Scenario) => Promise<void>): Command => ({
    check: () => true,
    async run(_, scenario) {
      scenario.check();
      const ended = scenario.begin(act(scenario));
      if (waits) await ended;
      scenario.check();
    },
    toString: () => label,
  });
  const make = <T>(
    arbitrary: fc.Arbitrary<T>,
    name: string,
    act: (scenario: Scenario, plan: T) => Promise<void>,
  ) => arbitrary.map((plan) => command(`${name} ${JSON.stringify(plan)}`, (scenario) => act(scenario, plan)));

  const fill = make(fills, "fill", ({ homeservers, scheduler }, { homeserver, ...plan }) =>
    readAndFill(homeservers[homeserver]!, plan, scheduler),
  );
  const warm = make(homeservers, "fill all at once", ({ homeservers }, homeserver) =>
    readAndFill(homeservers[homeserver]!, ALL, AT_ONCE),
  );
  const change = make(writes, "write", ({ homeservers, scheduler }, { homeserver, ...plan }) =>
    write(homeservers[homeserver]!, plan, scheduler),
  );
  const store = make(persists, "persist", ({ homeservers, scheduler }, { homeserver, ...plan }) =>
    persist(homeservers[homeserver]!, plan, scheduler),
  );
  const hear = make(hearings, "hear", ({ system, followers, scheduler }, { follower, frames }) =>
    followers[follower]!.hear(frames, scheduler, () => system.tick()),
  );
  const keep = make(keeps, "keep", ({ followers, scheduler }, { follower, eventId, view }) =>
    followers[follower]!.keep(eventId, view, scheduler),
  );
  const race = make(races, "race", async ({ homeservers, scheduler }, { homeserver, puts, ...plan }) => {
    const changeNext = async () => {
      await scheduler.turn("a writer enters the race");
      await write(homeservers[homeserver]!, plan, scheduler);
    };
    await Promise.all([
      readAndFill(homeservers[homeserver]!, { ...ALL, refreshes: true, puts }, scheduler),
      changeNext(),
    ]);
  });
  const lateFill = make(races, "late fill", async ({ homeservers }, { homeserver, puts, ...plan }) => {
    const fillAll = { ...ALL, refreshes: true, puts };
    const changeAndFill = async () => {
      await write(homeservers[homeserver]!, plan, AT_ONCE);
      await readAndFill(homeservers[homeserver]!, fillAll, AT_ONCE);
    };
    await readAndFill(homeservers[homeserver]!, fillAll, { turn: changeAndFill });
  });
  const lateKeep = make(lateKeeps, "late keep", async ({ system, homeservers, followers }, keep) => {
    const { homeserver, eventId, view, ...plan } = keep;
    const follower = followers[2 * homeserver]!;
    const changeAndHear = async () => {
      await write(homeservers[homeserver]!, plan, AT_ONCE);
      await follower.hear(100, AT_ONCE, () => system.tick());
    };
    await follower.keep(eventId, view, { turn: changeAndHear });
  });
  const burst = make(homeservers, "changes of other events", async ({ homeservers }, homeserver) => {
    for (const one of UNRELATED) await write(homeservers[homeserver]!, deletion(one), AT_ONCE);
  });
  const ahead = make(homeservers, "put ahead of the log", ({ homeservers }, homeserver) =>
    putAheadOfLog(homeservers[homeserver]!, EVENTS),
  );
  const time = make(spansMs, "pass", async ({ system }, ms) => system.advance(ms));
  const happening = make(fc.constantFrom(...HAPPENINGS), "happens", happen);
  const all: [number, fc.Arbitrary<Command>][] = [
    [5, fill],
    // Its two halves overlap whatever the scheduler.
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

/** A scheduler on which nobody else gets a turn. */
export const AT_ONCE: Scheduler = { turn: async () => {} };
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

async function happen(scenario: Scenario, what: (typeof HAPPENINGS)[number]): Promise<void> {
  switch (what) {
    case "restart":
      return scenario.restart();
    case "stranger":
      return scenario.stranger();
    case "tick":
      return scenario.system.tick();
    case "sweep":
      return scenario.system.sweep();
    case "hangUp":
      for (const follower of scenario.followers) follower.hangUp();
  }
}
