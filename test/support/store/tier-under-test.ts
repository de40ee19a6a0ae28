import type { EventId, Homeserver } from "../../../src/core/model/types.js";
import type { Tier, TierEntry } from "../../../src/tier/port.js";

/** A tier that keeps what it is given, answers when a test lets it, and may be altered by the test. */
export class TierUnderTest implements Tier {
  readonly entries = new Map<string, TierEntry>();
  /** The event IDs of each read. */
  readonly reads: (readonly EventId[])[] = [];
  writes = 0;
  isDown = false;
  #hold: Promise<void> | undefined;

  /** Lets reads wait until the function that is returned is called. */
  hold(): () => void {
    let release = () => {};
    this.#hold = new Promise((resolve) => {
      release = resolve;
    });
    return () => {
      this.#hold = undefined;
      release();
    };
  }

  get(homeserver: Homeserver, eventIds: readonly EventId[]) {
    if (this.isDown) return undefined;
    this.reads.push(eventIds);
    const found = eventIds.flatMap((eventId) => this.entries.get(`${homeserver} ${eventId}`) ?? []);
    return (this.#hold ?? Promise.resolve()).then(() => found);
  }

  put(homeserver: Homeserver, entries: readonly TierEntry[]): void {
    for (const entry of entries) {
      this.writes += 1;
      const { event } = entry;
      const copy = {
        ...event,
        body: Buffer.from(event.body),
        internalMetadata: Buffer.from(event.internalMetadata),
      };
      this.entries.set(`${homeserver} ${event.eventId}`, { ...entry, event: copy });
    }
  }

  drop(homeserver: Homeserver, eventIds: readonly EventId[]): void {
    for (const eventId of eventIds) this.entries.delete(`${homeserver} ${eventId}`);
  }

  status() {
    return { isUp: !this.isDown, errors: {}, entries: { requested: 0, found: 0, written: 0, dropped: 0 } };
  }

  async close(): Promise<void> {}
}
