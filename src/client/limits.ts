/** Limits of version 1 of the contract. */
export const EVENT_IDS_MAX = 500;
export const ID_BYTES_MAX = 1020;
export const NAME_BYTES_MAX = 255;
export const REQUEST_BYTES_MAX = 4 * 1024 * 1024;

/** How long a call may take, its repeats included. A cache that does not answer must not delay its user. */
export const TIMEOUT_MS_DEFAULT = 1000;
export const TIMEOUT_MS_MAX = 600_000;

/** Requests on the read stream that have no reply yet. Further lookups wait and are joined. */
export const READS_IN_FLIGHT_MAX = 64;
/** Event IDs that wait for the read stream. Beyond it a lookup fails at once. */
export const IDS_WAITING_MAX = 100_000;

/** Fills that `getOrFetch` leaves to the background. Beyond it a fill is skipped. */
export const FILLS_MAX = 64;

/** N of docs/announcing.md: the age of the near cache's proof at which it may not be used. */
export const PROOF_AGE_MS_MAX = 2000;
/** How often a position is requested, so that the proof stays young. */
export const PROOF_INTERVAL_MS = 500;
/** D of docs/announcing.md: the age at which a reply may not be used any more. */
export const REPLY_AGE_MS_MAX = 250;
/** Until the stream states its own. */
export const SILENCE_MS_DEFAULT = 5000;
