import type { Epoch, Homeserver, Position, RoomId } from "../../../src/core/model/types.js";
import type { SeenEvent } from "../model/oracle/event-facts.js";
import { eventId, roomId } from "../store/store-harness.js";
import { AgreedLog } from "./soak-follower.js";

export const EVENTS = 2000;
export const ALL = Array.from({ length: EVENTS }, (_, n) => n);
export const nameOf = (n: number) => eventId(`$${n}`);
export const roomOf = (n: number): RoomId => roomId(`!${Math.floor(n / 50)}:alpha.example`);

/** What must hold for a call, as of when it began. */
export interface Since {
  /** The newest acknowledged change of each event that was asked for. */
  readonly versions: readonly number[];
  /** How many epochs had ended. */
  readonly endedEpochs: number;
}

/** A homeserver's database, with the number of the newest change of each event, and what was acknowledged. */
export class SoakHomeserver {
  readonly name: Homeserver;
  readonly log = new AgreedLog();
  readonly #acknowledged = new Array<number>(EVENTS).fill(0);
  readonly #committed = new Array<number>(EVENTS).fill(0);
  #newest = 0;
  #epoch: Epoch | undefined;
  /** Epochs that a change in another one has followed, in that order. */
  readonly #ended = new Map<Epoch, number>();

  constructor(name: Homeserver) {
    this.name = name;
  }

  get epoch(): Epoch | undefined {
    return this.#epoch;
  }

  textOf(n: number): string {
    return `${this.name} ${this.#committed[n]}`;
  }

  commit(touched: readonly number[]): number {
    this.#newest += 1;
    for (const n of touched) this.#committed[n] = this.#newest;
    return this.#newest;
  }

  /** A change was acknowledged that was called for when `before` was the newest epoch. */
  acknowledge(
    touched: readonly number[],
    version: number,
    { epoch }: Position,
    before: Epoch | undefined,
  ): void {
    for (const n of touched) this.#acknowledged[n] = Math.max(this.#acknowledged[n]!, version);
    if (this.#ended.has(epoch)) return;
    if (before !== undefined && before !== epoch) {
      if (!this.#ended.has(before)) this.#ended.set(before, this.#ended.size);
    }
    this.#epoch = epoch;
  }

  since(ids: readonly number[]): Since {
    return { versions: ids.map((n) => this.#acknowledged[n]!), endedEpochs: this.#ended.size };
  }

  /** Fails if a reply to a call shows an epoch that had ended before the call began. */
  checkEpoch({ epoch }: Position, { endedEpochs }: Since): void {
    const ended = this.#ended.get(epoch);
    if (ended !== undefined && ended < endedEpochs)
      throw new Error(`${this.name}: epoch ${epoch} has come back`);
  }

  /** Fails if an event is served that another homeserver has put, or of before `atLeast`. */
  check(n: number, { eventId: id, body, rejection, redactedBy }: SeenEvent, atLeast: number): void {
    const [owner, version] = (JSON.parse(body) as Body).content.body.split(" ");
    const found = Math.max(Number(version), Number(rejection || 0), Number(redactedBy?.slice(1) ?? 0));
    if (id !== nameOf(n) || owner !== this.name) throw new Error(`${this.name} was served ${owner}'s ${id}`);
    if (found < atLeast) {
      throw new Error(`${this.name}: ${id} was served as of ${found}, when ${atLeast} was acknowledged`);
    }
  }
}

interface Body {
  readonly content: { readonly body: string };
}
