import type { Homeserver, Position } from "../../core/model/types.js";

/** What a subscription is doing: see SubscriberState in the contract of administrators. */
export type SubscriptionState = "waitingForChange" | "sending" | "waitingForRoom";

/** A subscription, as administrators see it. */
export interface SubscriptionView {
  /** Ascending in the order of coming. */
  readonly number: number;
  readonly homeserver: Homeserver;
  /** The name that the client gave itself. */
  readonly subscriber: string;
  /** The client's address; undefined on a Unix socket. */
  readonly peer: string | undefined;
  readonly openedMs: number;
  /** The position of the last frame that has left. */
  readonly cursor: Position | undefined;
  readonly state: SubscriptionState;
}

/** A subscription, as its handler keeps it up to date. */
export interface Subscription extends SubscriptionView {
  cursor: Position | undefined;
  state: SubscriptionState;
}

/** The subscriptions of a server, in the order of coming. */
export class SubscriptionTable implements Iterable<SubscriptionView> {
  readonly #clock: () => number;
  readonly #open = new Set<Subscription>();
  #count = 0;

  /** `clock` is a monotonic clock in milliseconds. */
  constructor(clock: () => number) {
    this.#clock = clock;
  }

  [Symbol.iterator](): Iterator<SubscriptionView> {
    return this.#open.values();
  }

  get size(): number {
    return this.#open.size;
  }

  enter(given: Pick<SubscriptionView, "homeserver" | "subscriber" | "peer" | "cursor">): Subscription {
    this.#count += 1;
    const { homeserver, subscriber, peer, cursor } = given;
    const subscription: Subscription = {
      number: this.#count,
      homeserver,
      subscriber,
      peer,
      openedMs: this.#clock(),
      cursor,
      state: "waitingForChange",
    };
    this.#open.add(subscription);
    return subscription;
  }

  leave(subscription: Subscription): void {
    this.#open.delete(subscription);
  }
}
