import fc from "fast-check";
import { HOMESERVER_IDLE_MS } from "../../../../src/core/model/limits.js";
import { TTL_MS } from "../../store/store-harness.js";
import type { Plan } from "../clients/changes.js";
import { LONG_TEXT, UNKNOWN_VERSION } from "../oracle/event-facts.js";
import { EVENTS, ROOMS } from "./scenario.js";

/** What the commands of a model test choose from, in the proportions in which it is of use. */

export const homeservers = fc.constantFrom(0, 0, 1);
const eventIds = fc.constantFrom(...EVENTS, EVENTS[0]!);
const roomIds = fc.constantFrom(...ROOMS);
const views = fc.constantFrom("redacted", "original");
const texts = fc.constantFrom("alike", LONG_TEXT);
const namedRooms = fc.constantFrom("none", "own", "other");

export const fills = fc.record({
  homeserver: homeservers,
  eventIds: fc.array(eventIds, { minLength: 1, maxLength: 4 }),
  view: views,
  readsOwnWrites: fc.boolean(),
  refreshes: fc.constantFrom(false, false, true),
  puts: fc.constantFrom(1, 1, 2),
});

const plans: fc.Arbitrary<Plan> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("redact"),
      eventId: eventIds,
      givesBody: fc.boolean(),
      room: namedRooms,
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("reject"),
      eventId: eventIds,
      rejected: fc.boolean(),
      room: namedRooms,
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("restore"), eventId: eventIds }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("rewrite"), eventId: eventIds, text: texts }) },
  fc.record({ kind: fc.constant("move"), eventId: eventIds, roomId: roomIds }),
  fc.record({ kind: fc.constant("delete"), eventIds: fc.array(eventIds, { minLength: 1, maxLength: 3 }) }),
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("purgeRoom"), roomId: roomIds }) },
  fc.record({ kind: fc.constant("purgeHomeserver"), newEpoch: fc.boolean() }),
);

export const writes = fc.record({
  homeserver: homeservers,
  plan: plans,
  carriesPosition: fc.constantFrom(true, true, false),
  calls: fc.constantFrom(1, 1, 2),
});

/** A change of an event that a reader fills in at the same time. */
export const races = fc.record({
  homeserver: homeservers,
  plan: plans,
  carriesPosition: fc.boolean(),
  calls: fc.constantFrom(1, 2),
  puts: fc.constantFrom(1, 2),
});

export const persists = fc.record({
  homeserver: homeservers,
  eventId: eventIds,
  roomId: roomIds,
  roomVersion: fc.constantFrom("10", "10", UNKNOWN_VERSION),
  text: texts,
});

const followers = fc.constantFrom(0, 0, 1, 2);
export const hearings = fc.record({ follower: followers, frames: fc.constantFrom(1, 2, 100) });
export const keeps = fc.record({ follower: followers, eventId: eventIds, view: views });

/** An event that a follower reads and keeps so late that it hears of a change first. */
export const lateKeeps = fc.record({
  homeserver: homeservers,
  eventId: eventIds,
  view: views,
  plan: plans,
  carriesPosition: fc.boolean(),
  calls: fc.constant(1),
});

/** The spans in which something ends, and what lies just before and after. */
export const spansMs = fc.constantFrom(1, 100, 1000, 1000, 5000, TTL_MS / 2, TTL_MS, HOMESERVER_IDLE_MS);
