import type { Homeserver, Position } from "../../core/model/types.js";

/** The state of a subscription: see SubscriberState in the administration contract. */
export type SubscriptionState = "waitingForChange" | "sending" | "waitingForRoom";

/** A subscription as operators see it. */
export interface SubscriptionView {
  /** Later subscriptions have larger numbers. */
  readonly number: number;
  readonly homeserver: Homeserver;
  /** The name that the client sent. */
  readonly subscriber: string;
  /** The client's address; undefined on a Unix socket. */
  readonly peer: string | undefined;
  readonly openedMs: number;
  /** The position of the last frame that was sent. */
  readonly cursor: Position | undefined;
  readonly state: SubscriptionState;
}

/** A subscription as its handler updates it. */
export interface Subscription extends SubscriptionView {
  cursor: Position | undefined;
  state: SubscriptionState;
}

/** The subscriptions of a server, the oldest first. */
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
