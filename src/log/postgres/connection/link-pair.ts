import { LogFailure } from "../failures/failures.js";
import { type LogLinkOptions, newLogLink } from "./log-link.js";
import type { PostgresLink } from "./postgres-link.js";

/** What both links of a sidecar report. */
export interface LinkPairOptions extends LogLinkOptions {
  onNotification(payload: string): void;
  onFollowUp(): void;
  onFollowDown(): void;
  onCallUp(): void;
  onCallDown(): void;
}

/** The two connections of a sidecar to the log. */
export class LinkPair {
  /** Runs LISTEN, reads, reports and renewals, which this sidecar's own copies need. */
  readonly follow: PostgresLink;
  /** Runs changes, joins and everything that waits for other members. */
  readonly call: PostgresLink;

  constructor(options: LinkPairOptions) {
    this.follow = newLogLink(options, {
      onNotification: options.onNotification,
      onUp: () => {
        this.#replaceIfApart();
        options.onFollowUp();
      },
      onDown: options.onFollowDown,
    });
    this.call = newLogLink(options, {
      onNotification: undefined,
      onUp: () => {
        this.#replaceIfApart();
        options.onCallUp();
      },
      onDown: options.onCallDown,
    });
  }

  start(): void {
    this.follow.start();
    this.call.start();
  }

  /**
   * Whether both links are up and connected to the same server in the same incarnation. After
   * a promotion a name or a proxy may lead to another server, while old connections last.
   */
  get isOneServer(): boolean {
    return this.#areUp && this.follow.incarnation === this.call.incarnation;
  }

  close(): void {
    this.follow.close();
    this.call.close();
  }

  get #areUp(): boolean {
    return this.follow.isUp && this.call.isUp;
  }

  /** Called when a link comes up. Resets both if they lead to two servers: the right one is not known here. */
  #replaceIfApart(): void {
    if (!this.#areUp || this.isOneServer) return;
    const failure = new LogFailure("unreachable", "the connections lead to two servers; both are replaced");
    this.follow.replace(failure);
    this.call.replace(failure);
  }
}
