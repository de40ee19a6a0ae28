import { CliError, ExitCode } from "../../src/cli/exit-code.js";
import type { Followed } from "../../src/client/follow.js";
import type { Notice, Position } from "../../src/gen/splitcache/v1/event_cache_service.js";

/** Collects the notices of a followed log until its signal is aborted. */
export class NoticeCollector {
  readonly notices: Notice[] = [];
  resets = 0;
  #position: Position | undefined;
  #failure: unknown;
  #wake: () => void = () => {};

  constructor(followed: AsyncIterable<Followed>) {
    void this.#collect(followed)
      .then(() => {
        this.#failure = new CliError(ExitCode.interrupted, "interrupted");
      })
      .catch((failure: unknown) => {
        this.#failure = failure;
      })
      .finally(() => this.#wake());
  }

  /**
   * Waits until the log was followed up to a position, or without a position until
   * the subscription has started. Calls must not overlap. Rejects if the
   * subscription ends before.
   */
  async until(position?: Position): Promise<Position> {
    while (this.#position === undefined || this.#position.sequence < (position?.sequence ?? 0n)) {
      if (this.#failure !== undefined) throw this.#failure;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return this.#position;
  }

  async #collect(followed: AsyncIterable<Followed>): Promise<void> {
    for await (const item of followed) {
      if (item.kind === "notice") this.notices.push(item.notice);
      if (item.kind === "reset") this.resets += 1;
      if ("position" in item) this.#position = item.position;
      this.#wake();
    }
  }
}
