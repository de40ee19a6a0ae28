import type { PostgresLink } from "../connection/postgres-link.js";
import { LogFailure } from "../failures/failures.js";
import type { Enrolments } from "../follow/enrolments.js";
import type { FollowedHomeserver } from "../follow/followed-homeserver.js";
import type { Follower } from "../follow/follower.js";
import type { MembersView } from "../membership/members-view.js";
import { type PostgresLimits, SILENT_POLLS_MAX } from "../postgres-limits.js";
import type { Trimmer } from "./trim.js";

export interface BackgroundOptions {
  readonly limits: PostgresLimits;
  readonly followLink: PostgresLink;
  readonly callLink: PostgresLink;
  readonly follower: Follower;
  readonly enrolments: Enrolments;
  readonly trimmer: Trimmer;
  readonly members: MembersView;
  all(): readonly FollowedHomeserver[];
  renew(): Promise<void>;
  onFailure(error: unknown): void;
  /** A number from 0 to 1. */
  random(): number;
}

/** The work that is done at intervals. Failed work is repeated at the next interval. */
export class Background {
  readonly #options: BackgroundOptions;
  readonly #timers: NodeJS.Timeout[] = [];
  /** Consecutive polls that found changes without a notification. */
  #silentPolls = 0;

  constructor(options: BackgroundOptions) {
    this.#options = options;
  }

  start(): void {
    const { limits, trimmer, all, renew, random } = this.#options;
    this.#every(limits.renewMs, renew);
    this.#every(limits.pollMs, () => this.#poll());
    this.#every(limits.membersIntervalMs, () => this.refreshMembers());
    // Sidecars that start together do not trim together.
    this.#every(limits.trimIntervalMs * (1 + random()), () => this.call(() => trimmer.run(all())));
  }

  stop(): void {
    for (const timer of this.#timers) clearInterval(timer);
  }

  /** A notification has arrived. */
  notified(): void {
    this.#silentPolls = 0;
  }

  async refreshMembers(): Promise<void> {
    const { enrolments, members, all } = this.#options;
    await this.call(async () => {
      await enrolments.sweep(all());
      await members.refresh();
    });
  }

  /** Runs work on the link of calls, if it is up. */
  async call(work: () => Promise<void>): Promise<void> {
    const { callLink, onFailure } = this.#options;
    if (!callLink.isUp) return;
    try {
      await work();
    } catch (error) {
      // A lost connection has been reported already.
      if (callLink.isUp) onFailure(error);
    }
  }

  /** Reads changes whose notification was lost, and homeservers that could not be loaded before. */
  async #poll(): Promise<void> {
    const { followLink, follower, all } = this.#options;
    if (!followLink.isUp) return;
    try {
      for (const followed of all()) if (!followed.isLoaded) follower.wake(followed);
      const moved = await follower.poll(all());
      this.#silentPolls = moved > 0 ? this.#silentPolls + 1 : 0;
      if (this.#silentPolls < SILENT_POLLS_MAX) return;
      this.#silentPolls = 0;
      throw new LogFailure("notifications", "changes were found that no notification announced");
    } catch (error) {
      followLink.replace(error);
    }
  }

  #every(intervalMs: number, run: () => Promise<void>): void {
    this.#timers.push(setInterval(() => void run(), intervalMs));
  }
}
