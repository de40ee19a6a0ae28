import type { EventId, NewEvent, RedactionView, RoomId } from "../../../../src/core/model/types.js";
import { newEvent } from "../oracle/event-facts.js";
import { type Scheduler, unlessLost } from "../runs/scheduler.js";
import type { TestHomeserver } from "./test-homeserver.js";

export interface FillPlan {
  readonly eventIds: readonly EventId[];
  readonly view: RedactionView;
  /** Whether it insists on reading its homeserver's own writes. */
  readonly readsOwnWrites: boolean;
  /** Whether it puts what it was served, too. */
  readonly refreshes: boolean;
  /** How often its put reaches the sidecar. */
  readonly puts: number;
}

/** A worker that reads events and fills in what missed, from a snapshot of the database. */
export async function readAndFill(
  homeserver: TestHomeserver,
  plan: FillPlan,
  scheduler: Scheduler,
): Promise<void> {
  const { eventIds, view } = plan;
  const minPosition = plan.readsOwnWrites
    ? homeserver.announcements.findLast(({ position }) => position)?.position
    : undefined;
  const reply = await homeserver.read(eventIds, view, minPosition);
  if (reply === undefined) return;
  const missing = eventIds.filter((_, at) => plan.refreshes || reply.events[at] === undefined);
  await scheduler.turn(`${homeserver.name}: a reader opens its snapshot`);
  const events = snapshot(homeserver, missing);
  for (let put = 0; put < plan.puts; put++) {
    await scheduler.turn(`${homeserver.name}: a reader's put arrives`);
    await unlessLost(
      homeserver.sidecar.putEvents({ homeserver: homeserver.name, events, asOf: reply.position }),
    );
  }
}

export interface PersistPlan {
  readonly eventId: EventId;
  readonly roomId: RoomId;
  readonly roomVersion: string;
  readonly text: string;
}

/** A worker that stores a new event in the database and then in the sidecar. */
export async function persist(
  homeserver: TestHomeserver,
  plan: PersistPlan,
  scheduler: Scheduler,
): Promise<void> {
  const asOf = await homeserver.position();
  await scheduler.turn(`${homeserver.name}: a persister commits`);
  const facts = homeserver.database.read(plan.eventId);
  if (facts.row !== undefined) return;
  const row = homeserver.newRow(plan.roomId, plan.roomVersion, plan.text);
  homeserver.database.commit(new Map([[plan.eventId, { row }]]));
  if (asOf === undefined) return;
  await scheduler.turn(`${homeserver.name}: a persister's put arrives`);
  const events = [newEvent(plan.eventId, row, facts)];
  await unlessLost(homeserver.sidecar.putEvents({ homeserver: homeserver.name, events, asOf }));
}

/** A confused worker: it puts what is true under a position that the log has not reached. */
export async function putAheadOfLog(homeserver: TestHomeserver, eventIds: readonly EventId[]): Promise<void> {
  const position = await homeserver.position();
  if (position === undefined) return;
  const asOf = { ...position, sequence: position.sequence + FAR_AHEAD };
  const events = snapshot(homeserver, eventIds);
  await unlessLost(homeserver.sidecar.putEvents({ homeserver: homeserver.name, events, asOf }));
}

/** More changes than the others make meanwhile. */
const FAR_AHEAD = 1_000_000;

/** The events that are in the database now. */
function snapshot({ database }: TestHomeserver, eventIds: readonly EventId[]): NewEvent[] {
  return eventIds.flatMap((eventId) => {
    const facts = database.read(eventId);
    return facts.row === undefined ? [] : [newEvent(eventId, facts.row, facts)];
  });
}
