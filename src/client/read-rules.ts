import type {
  CachedEvent,
  GetEventsResponse,
  RedactionView,
} from "../gen/splitcache/v1/event_cache_service.js";
import type { Clock } from "./clock.js";
import { EpochHistory } from "./epoch-history.js";
import { sharedEvent } from "./events.js";
import { REPLY_AGE_MS_MAX } from "./limits.js";
import type { NearCache, Permission } from "./near/near-cache.js";
import { epochOf, type Position } from "./position.js";
import type { ReceiveReply, ReplyRules } from "./reader.js";

type Received = ReturnType<ReceiveReply>;

const NOTHING: Received["events"] = new Map();

/** Which lookups may be sent, and which replies may be used. */
export class ReadRules implements ReplyRules, Permission {
  readonly counters = { unusedReplies: 0 };
  /** Set once, after construction: the near cache asks this object for permission. */
  near: NearCache | undefined;
  readonly #clock: Clock;
  /** The gate of the outbox, for a client with access to the homeserver's database. */
  readonly #gate: Permission | undefined;
  readonly #onTwoLogs: () => void;
  readonly #epochs = new EpochHistory();
  #hasTwoLogs = false;

  constructor(clock: Clock, gate: Permission | undefined, onTwoLogs: () => void) {
    this.#clock = clock;
    this.#gate = gate;
    this.#onTwoLogs = onTwoLogs;
  }

  get hasTwoLogs(): boolean {
    return this.#hasTwoLogs;
  }

  /** Take it when a stream or request begins; `sees` needs it. */
  get mark(): number {
    return this.#epochs.mark;
  }

  isOpen(now: number): boolean {
    return this.#gate === undefined ? !this.#hasTwoLogs : this.#gate.isOpen(now);
  }

  uses(epoch: string): boolean {
    return this.#gate === undefined || this.#gate.uses(epoch);
  }

  get mayRead(): boolean {
    return this.isOpen(this.#clock());
  }

  /** The notices detach from a lookup in flight what they name, but only while the stream keeps up. */
  get joinsSent(): boolean {
    return this.near?.isUsable() ?? false;
  }

  /** Takes the epoch of a reply or frame that was requested at `mark`. Returns whether it is the current one. */
  sees(epoch: string, mark: number): boolean {
    // With an outbox, only the registered epoch counts.
    if (this.#gate !== undefined) return this.#gate.uses(epoch);
    if (!this.#epochs.sees(epoch, mark)) this.stop();
    return !this.#hasTwoLogs && epoch === this.#epochs.current;
  }

  /** Two logs answer: the cache is not used any more. With an outbox, registering epochs protects from it. */
  stop(): void {
    if (this.#hasTwoLogs || this.#gate !== undefined) return;
    this.#hasTwoLogs = true;
    this.#onTwoLogs();
  }

  sending(view: RedactionView): ReceiveReply {
    const mark = this.mark;
    const sentAt = this.#clock();
    const near = this.near?.sending();
    return ({ events, position }: GetEventsResponse): Received => {
      if (position === undefined || !this.sees(epochOf(position), mark)) return this.#unused(undefined);
      const isLate = this.#gate !== undefined && this.#clock() - sentAt >= REPLY_AGE_MS_MAX;
      const shared: Readonly<CachedEvent>[] = isLate ? [] : events.map(sharedEvent);
      if (near !== undefined) this.near?.received(near, position, shared, view);
      if (isLate && events.length > 0) return this.#unused(position);
      return { events: new Map(shared.map((event) => [event.eventId, event])), asOf: position };
    };
  }

  #unused(asOf: Position | undefined): Received {
    this.counters.unusedReplies += 1;
    return { events: NOTHING, asOf };
  }
}
