/**
 * Every bound, with its reason. The limits of messages are constants of version
 * 1 of the contract: clients may rely on them, so they do not depend on the
 * configuration. Capacities are the defaults or the maxima of options.
 */

const KIB = 1024;
const MIB = 1024 * KIB;

// --- Messages (contract v1) ---

/** IDs or events in one call: two and a half SQL chunks of Synapse, one page of work for the event loop. */
export const BATCH_MAX = 500;
/** An event or room ID: 255 code points in older room versions, so at most 4 × 255 bytes of UTF-8. */
export const ID_BYTES_MAX = 1020;
/** A homeserver or subscriber name: a server name has at most 255 bytes. */
export const NAME_BYTES_MAX = 255;
/** A room version: the Matrix specification's grammar allows 32 characters. */
export const ROOM_VERSION_BYTES_MAX = 32;
/** A rejection's reason: a sentence for people. */
export const REJECTED_REASON_BYTES_MAX = 1024;
/** A body: 64 KiB on the wire, stored ASCII-escaped by Synapse at up to three times as long. */
export const BODY_BYTES_MAX = 256 * KIB;
/** Internal metadata: a small JSON object in practice. */
export const INTERNAL_METADATA_BYTES_MAX = 16 * KIB;
/** A request: the default receive limit of every gRPC implementation. */
export const REQUEST_BYTES_MAX = 4 * MIB;
/** A reply: below the 4 MiB that clients accept by default, with room for framing. */
export const REPLY_BYTES_MAX = 3.5 * MIB;
/** Notices in a batch: bounds what a subscriber handles at once. */
export const BATCH_NOTICES_MAX = 1000;
/** Bytes in a batch: one notice of 500 of the longest IDs takes half of it. */
export const BATCH_BYTES_MAX = MIB;
/** An epoch: 128 random bits do not collide. */
export const EPOCH_BYTES = 16;
/** Field violations named in one error, and the bytes of its details: clients refuse large trailers. */
export const VIOLATIONS_MAX = 16;
export const ERROR_DETAILS_BYTES_MAX = 4 * KIB;

// --- Capacities ---

/** The smallest budget whose shares below still hold a useful number of events. */
export const MEMORY_BUDGET_BYTES_MIN = 32 * MIB;
/** The budget if there is no memory limit. With one, the default is a quarter of it. */
export const MEMORY_BUDGET_BYTES_DEFAULT = 256 * MIB;
/** Shares of the budget, in eighths: bodies are most of what an event costs. */
export const EVENTS_SHARE_EIGHTHS = 5;
export const METADATA_SHARE_EIGHTHS = 2;
export const LOG_SHARE_EIGHTHS = 1;
/** Shares of the heap, in sixteenths: an event and an entry cost about the same there. */
export const EVENTS_HEAP_SHARE_SIXTEENTHS = 7;
export const METADATA_HEAP_SHARE_SIXTEENTHS = 7;
export const LOG_HEAP_SHARE_SIXTEENTHS = 2;
/** The share of the heap limit that entries may use; the rest is for work and garbage. */
export const HEAP_SHARE = 0.6;
/** Entries of one cache: a Map ends at 16.7 million, and grows by doubling. */
export const CACHE_ENTRIES_MAX = 8_000_000;
/** Event IDs in one homeserver's log: a few minutes of the busiest homeserver. */
export const LOG_EVENT_IDS_MAX = 65_536;
/** Homeservers at once. */
export const HOMESERVERS_MAX = 1000;
/** How long a homeserver must be unused before it may be forgotten. */
export const HOMESERVER_IDLE_MS = 10 * 60 * 1000;
/** Subscribers at once: each worker of each homeserver has one. */
export const SUBSCRIBERS_MAX = 2000;
/** GetEventsStream calls at once. */
export const READ_STREAMS_MAX = 1000;
/** Calls in flight, from their headers until their reply has left. */
export const CALLS_IN_FLIGHT_MAX = 256;
/** Bytes of requests and unsent replies in flight. */
export const BYTES_IN_FLIGHT_MAX = 64 * MIB;
/** The share of calls, bytes in flight, subscribers and read streams that one of several homeservers may take. */
export const SHARE_OF_ONE = 1 / 4;
/** The server's own time limit of a call, and of one frame of a read stream, until it has left. */
export const CALL_TIME_LIMIT_MS = 30_000;

// --- Times ---

/** How long a metadata entry lives after its put: the last bound for changes that were not announced. */
export const METADATA_TTL_MS_DEFAULT = 60 * 60 * 1000;
/** The same over a log that outlives a sidecar: a longer life keeps the cache warm. */
export const METADATA_TTL_MS_WITH_SHARED_LOG = 24 * 60 * 60 * 1000;
/** The longest silence on a healthy subscription. */
export const PROGRESS_INTERVAL_MS = 1000;
/** How long a subscriber may hear nothing before it stops serving what it holds: five progress frames are missing then. */
export const SILENCE_LIMIT_MS = 5000;
/** The longest slice of background work, and thus the longest time that a call waits for it. */
export const SWEEP_SLICE_MS = 2;
/** Between two slices: a call takes several turns of the event loop, and should meet one slice at most. */
export const SWEEP_PAUSE_MS = 5;
/** The longest slice of redacting for a put; one body of the largest size may take longer. */
export const REDACT_SLICE_MS = 1;
/** The longest that puts run in one turn of the event loop, if more than one wait: other calls come between. */
export const PUT_SLICE_MS = 1;
/** Passes of the sweep start this far apart; two of them are well within the minute promised. */
export const SWEEP_INTERVAL_MS = 20_000;
