import type { EventCacheServiceClient } from "../../gen/splitcache/v1/event_cache_service.js";
import { errorOf } from "../errors.js";
import { type FollowOptions, follow } from "../follow.js";
import { PROOF_INTERVAL_MS } from "../limits.js";
import { epochOf } from "../position.js";
import type { ReadRules } from "../read-rules.js";
import { pause } from "../signals.js";
import type { NearCache } from "./near-cache.js";

const RETRY_MS = 1000;

/** Feeds a near cache with the homeserver's log, and requests positions so that its proof stays young. */
export class NearFollower {
  readonly #near: NearCache;
  readonly #rules: ReadRules;
  readonly #requestPosition: () => Promise<void>;
  readonly #warn: (message: string) => void;
  readonly #end = new AbortController();
  readonly #timer: NodeJS.Timeout;
  readonly #running: Promise<void>;
  #isRequesting = false;

  constructor(
    client: Pick<EventCacheServiceClient, "subscribe">,
    options: FollowOptions,
    near: NearCache,
    rules: ReadRules,
    requestPosition: () => Promise<void>,
    warn: (message: string) => void,
  ) {
    this.#near = near;
    this.#rules = rules;
    this.#requestPosition = requestPosition;
    this.#warn = warn;
    this.#timer = setInterval(() => void this.#prove(), PROOF_INTERVAL_MS).unref();
    this.#running = this.#follow(client, { ...options, signal: this.#end.signal, survivesRefusal: true });
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#end.abort();
    await this.#running;
    this.#near.end();
  }

  async #follow(client: Pick<EventCacheServiceClient, "subscribe">, options: FollowOptions): Promise<void> {
    while (!this.#end.signal.aborted) {
      let mark = this.#rules.mark;
      try {
        for await (const item of follow(client, options)) {
          // A stream shows epochs in their order, but a reply may have shown a later one meanwhile.
          if (item.kind === "disconnected") mark = this.#rules.mark;
          if ("position" in item && this.#rules.sees(epochOf(item.position), mark)) mark = this.#rules.mark;
          this.#near.follow(item);
          if (item.kind === "ready" || item.kind === "reset") void this.#prove();
        }
      } catch (failure) {
        this.#near.end();
        const error = errorOf(failure);
        if (error.code === "TWO_LOGS") this.#rules.stop();
        this.#warn(`the near cache serves nothing: ${error.message}`);
        await pause(RETRY_MS, this.#end.signal);
      }
    }
  }

  async #prove(): Promise<void> {
    if (this.#isRequesting || this.#end.signal.aborted || !this.#rules.mayRead) return;
    this.#isRequesting = true;
    // A failure shows itself: the proof grows old.
    await this.#requestPosition().catch(() => undefined);
    this.#isRequesting = false;
  }
}
