import type { EventId, Homeserver, RoomId } from "../../core/types.js";

/**
 * The names of the keys. All keys of a homeserver carry its name as hash tag, so
 * that they live in one slot of a Cluster and one script reaches them all;
 * bodies carry none, so that they are spread over all slots.
 */
export class HomeserverKeys {
  /** Hash: epoch, sequence, replication ID, generations, writers. They are lost together or not at all. */
  readonly state: string;
  /** Stream: the invalidation log; the entry IDs are the sequence numbers. */
  readonly log: string;
  /** Hash: the newest change of each event and room that the log holds. */
  readonly fence: string;
  /** The channel on which a script says that the log has grown. */
  readonly channel: string;
  /** String: written to prove that its server is the primary. */
  readonly proof: string;
  readonly #prefix: string;

  constructor(prefix: string, homeserver: Homeserver) {
    this.#prefix = `${prefix}:${FORMAT}:{${tagOf(homeserver)}}:`;
    this.state = `${this.#prefix}state`;
    this.log = `${this.#prefix}log`;
    this.fence = `${this.#prefix}fence`;
    this.channel = `${this.#prefix}changes`;
    this.proof = `${this.#prefix}proof`;
  }

  /** String: a homeserver's metadata of one event. There are so many that a longer name would show. */
  event(eventId: EventId): string {
    return `${this.#prefix}e:${eventId}`;
  }

  /**
   * String: the room's token, which its metadata bears; without it none of that is alive. The scripts make this name
   * too, and that of the other direction, `t:` and the token, which holds the room.
   */
  room(roomId: RoomId): string {
    return `${this.#prefix}r:${roomId}`;
  }
}

/** String: written at the start to prove that Redis can be used. */
export function startKey(prefix: string): string {
  return `${prefix}:${FORMAT}:proof`;
}

/** String: the bytes that have this digest. */
export function bodyKey(prefix: string, digest: string): string {
  return `${prefix}:${FORMAT}:body:${Buffer.from(digest, "latin1").toString("base64url")}`;
}

/** Sidecars that write another form are another cache, and must not run at the same time. */
const FORMAT = "v1";

/** Readable for every server name, and free of the braces that delimit a hash tag. */
function tagOf(homeserver: Homeserver): string {
  return homeserver.replace(/[^A-Za-z0-9.:_-]/gu, (sign) => encodeURIComponent(sign).replace("*", "%2A"));
}
