import type { EventId, Homeserver } from "../../core/model/types.js";

/**
 * The names of the keys. None has a hash tag of ours, so a Cluster spreads a
 * homeserver's keys over all slots. A homeserver's name and an event ID may both contain
 * colons: the length of the name, in bytes, shows where it ends.
 */
export class KeyNames {
  readonly #prefix: string;

  constructor(prefix: string) {
    this.#prefix = prefix;
  }

  metadata(homeserver: Homeserver, eventId: EventId): string {
    return `${this.#prefix}:m:${Buffer.byteLength(homeserver)}:${homeserver}:${eventId}`;
  }

  body(digest: Buffer): string {
    return `${this.#prefix}:b:${digest.toString("base64url")}`;
  }
}
