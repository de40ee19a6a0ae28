/** The bounds of the Redis tier, with their reasons. */

const KIB = 1024;
const MIB = 1024 * KIB;

/**
 * How long a read may take, both round trips together. Values that arrive later are misses. A read takes one or two
 * milliseconds; a dead server delays a caller, which then reads its database, by no more than this.
 */
export const READ_MS_MAX = 50;
/** Reads in a row that may be late before reads pause; a connection that is silent pauses them at once. */
export const LATE_MAX = 2;
/** How long reads pause. Doubled whenever a probe fails. */
export const PAUSE_MS_MIN = 250;
export const PAUSE_MS_MAX = 5000;
/** A command without a reply for so long means that its connection is dead. */
export const SILENCE_MS_MAX = 1000;
/** How often that is checked. */
export const WATCH_INTERVAL_MS = 250;
/** How long connecting, TLS and login may take. */
export const CONNECT_MS_MAX = 2000;
/** Pauses between attempts to connect. */
export const RECONNECT_MS_MIN = 50;
export const RECONNECT_MS_MAX = 5000;
/** Keys of one MGET: it keeps a server busy for less than a millisecond. */
export const KEYS_AT_ONCE_MAX = 1000;
/** Metadata keys in flight: with internal metadata of 16 KiB each, 64 MiB. */
export const KEYS_IN_FLIGHT_MAX = 3500;
/** Bytes of bodies in one MGET, so that replies keep arriving on a slow network. */
export const BODY_BYTES_AT_ONCE_MAX = 256 * KIB;
/** Bytes of bodies in flight: as many as nine full replies have. */
export const BODY_BYTES_IN_FLIGHT_MAX = 32 * MIB;
/** Bytes of entries that wait to be written, or for the reply: four of the largest requests. */
export const FILL_BYTES_MAX = 16 * MIB;
/** Entries and removals that wait to be written, or for the reply: a second's work for the client library. */
export const FILLS_MAX = 10_000;
/** Entries, and their bytes, that are hashed and sent in one turn of the event loop: about a millisecond's work. */
export const FILLS_AT_ONCE_MAX = 50;
export const FILL_BYTES_AT_ONCE_MAX = 256 * KIB;
/** Commands that the client library queues on one connection: more than the bounds above allow. */
export const COMMANDS_PENDING_MAX = 50_000;
/** Homeservers whose derived keys are kept. */
export const HOMESERVER_KEYS_MAX = 10_000;
/** After this time without a failure, the next one of the same cause is reported again. */
export const EPISODE_MS = 60_000;
