import type { EventId } from "../../../../src/core/model/types.js";
import { type Fact, type Facts, NO_FACTS } from "./event-facts.js";

/** One homeserver's database: the truth, with all that was ever true. */
export class Database {
  /** How many transactions were committed. */
  commits = 0;
  readonly #histories = new Map<EventId, Version[]>();

  /** What is true of an event now. */
  read(eventId: EventId): Facts {
    return this.#histories.get(eventId)?.at(-1)?.facts ?? NO_FACTS;
  }

  /** The events that have a row. */
  events(): EventId[] {
    return [...this.#histories.keys()].filter((eventId) => this.read(eventId).row !== undefined);
  }

  /** Commits one transaction, that changes these facts of these events. */
  commit(changes: ReadonlyMap<EventId, Partial<Facts>>): number {
    this.commits += 1;
    for (const [eventId, changed] of changes) {
      const history = this.#histories.get(eventId) ?? [];
      history.push({ commit: this.commits, facts: { ...this.read(eventId), ...changed } });
      this.#histories.set(eventId, history);
    }
    return this.commits;
  }

  /** Every value that one fact of an event has had from just after a commit until now. */
  since<F extends Fact>(eventId: EventId, fact: F, commit: number): Facts[F][] {
    const history = [{ commit: 0, facts: NO_FACTS }, ...(this.#histories.get(eventId) ?? [])];
    const first = history.findLastIndex((version) => version.commit <= commit);
    return history.slice(first).map(({ facts }) => facts[fact]);
  }
}

interface Version {
  readonly commit: number;
  readonly facts: Facts;
}
