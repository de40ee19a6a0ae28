import { HOMESERVER_IDLE_MS } from "../../../../src/core/model/limits.js";
import type { EventId, Homeserver, RoomId } from "../../../../src/core/model/types.js";
import { ALPHA, BETA, eventId, homeserver, roomId } from "../../store/store-harness.js";
import { Follower } from "../clients/follower.js";
import { TestHomeserver } from "../clients/test-homeserver.js";
import { NO_FACTS, UNKNOWN_VERSION } from "../oracle/event-facts.js";
import type { SystemUnderTest } from "../system/system-under-test.js";
import { type Scheduler, unlessLost } from "./scheduler.js";

export const EVENTS: readonly EventId[] = ["$a", "$b", "$c", "$d"].map(eventId);
export const ROOMS: readonly RoomId[] = ["!one:alpha.example", "!two:alpha.example"].map(roomId);

/** Two homeservers that share events, with their workers, on one sidecar. */
export class Scenario {
  readonly system: SystemUnderTest;
  readonly scheduler: Scheduler;
  readonly homeservers: readonly TestHomeserver[];
  readonly followers: readonly Follower[];
  #acts: Promise<void>[] = [];
  #strangers = 0;
  #failure: { readonly cause: unknown } | undefined;

  constructor(system: SystemUnderTest, scheduler: Scheduler) {
    this.system = system;
    this.scheduler = scheduler;
    this.homeservers = [ALPHA, BETA].map(
      (name: Homeserver) => new TestHomeserver(name, () => system.sidecar),
    );
    this.followers = this.homeservers.flatMap((one) => [new Follower(one), new Follower(one)]);
    for (const one of this.homeservers) fillDatabase(one);
  }

  /** Begins something that goes on while others act. */
  begin(act: Promise<void>): Promise<void> {
    const ended = act.catch((cause: unknown) => {
      this.#failure ??= { cause };
    });
    this.#acts.push(ended);
    return ended;
  }

  /** Fails if anything that was begun has failed, or the sidecar holds too much. */
  check(): void {
    if (this.#failure !== undefined) throw this.#failure.cause;
    this.system.checkBounds();
  }

  /** Starts another sidecar; the workers notice when they call. */
  async restart(): Promise<void> {
    for (const follower of this.followers) follower.hangUp();
    await this.system.restart();
  }

  /** A homeserver that nobody knows yet takes a place, if there is one. */
  async stranger(): Promise<void> {
    this.#strangers += 1;
    const request = { eventIds: [], view: "redacted", minPosition: undefined } as const;
    const name = homeserver(`stranger-${this.#strangers}`);
    await unlessLost(this.system.sidecar.getEvents({ ...request, homeserver: name }));
  }

  /** Waits until all that was begun has ended. */
  async ended(): Promise<void> {
    for (let act = this.#acts.pop(); act !== undefined; act = this.#acts.pop()) await act;
  }

  /**
   * Ends it all: what was begun has not failed, every follower gets to the end of
   * the log, and nothing is left in memory when everything was purged.
   */
  async close(): Promise<void> {
    try {
      this.check();
      this.system.checkHistory();
      await this.system.recover();
      // Strangers must give way.
      if (this.#strangers > 0) this.system.advance(HOMESERVER_IDLE_MS);
      for (const follower of this.followers) {
        await follower.catchUp(() => this.system.tick());
        follower.hangUp();
      }
      // The sweep is what takes a purged room out of memory.
      for (const { name } of this.homeservers) {
        for (const room of ROOMS) await this.system.sidecar.purgeRoom(name, room);
      }
      this.system.sweep();
      this.system.checkEmpty();
    } finally {
      await this.system.close();
    }
  }
}

/** One event alike on both homeservers, one unlike, one in the other room that nobody can redact, and one yet to come. */
function fillDatabase(homeserver: TestHomeserver): void {
  const [alike, unlike, elsewhere] = EVENTS;
  const facts = (room: RoomId, text: string, version = "10") => ({
    ...NO_FACTS,
    row: homeserver.newRow(room, version, text),
  });
  homeserver.database.commit(
    new Map([
      [alike!, facts(ROOMS[0]!, "alike")],
      [unlike!, facts(ROOMS[0]!, homeserver.name)],
      [elsewhere!, facts(ROOMS[1]!, "alike", UNKNOWN_VERSION)],
    ]),
  );
}
