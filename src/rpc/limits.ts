import { BATCH_MAX, CALLS_IN_FLIGHT_MAX, READ_STREAMS_MAX, SUBSCRIBERS_MAX } from "../core/model/limits.js";

/** Bounds that only the transport knows, each with its reason. */

const KIB = 1024;
const MIB = 1024 * KIB;

/** Requests of one read stream that were read and not yet answered: enough to hide a round trip. */
export const READ_AHEAD_MAX = 64;
/**
 * Event IDs that the lookups of one read stream may ask for at a time, if they are more than one lookup, where each
 * takes a while: their replies are all there before a client that does not read is noticed.
 */
export const STREAM_LOOKUP_IDS_MAX = BATCH_MAX;
/**
 * Bytes of small replies that a read stream may have on their way before the next lookup waits: without
 * it each reply costs a turn of the event loop, with it a client that does not read holds this and one reply.
 */
export const READ_STREAM_UNSENT_BYTES_MAX = 16 * KIB;
/** Batches on their way to all subscribers; beyond it a subscriber waits until others' have left. */
export const SUBSCRIPTION_BYTES_MAX = 32 * MIB;
/** A subscription's request has two names and a position: this leaves room for fields to come. */
export const SUBSCRIBE_REQUEST_BYTES_MAX = 64 * KIB;
/** What a queued request of a read stream costs beside its bytes, so that tiny ones are not free. */
export const QUEUED_REQUEST_BYTES = 512;
/** Unary calls at once to services other than the cache's: health probes. */
export const AUXILIARY_CALLS_MAX = 256;
/** Streams of those services, which stay open: apart, so that they cannot keep probes out. */
export const AUXILIARY_STREAMS_MAX = 256;
/** A request to those services names a service or a symbol. */
export const AUXILIARY_REQUEST_BYTES_MAX = 64 * KIB;
/** Requests of one stream of those services that have arrived and were not read: clients ask one by one. */
export const AUXILIARY_READ_AHEAD_MAX = 64;
/** How long a stream of reflection may ask nothing until it is ended: it holds one of those streams. */
export const REFLECTION_IDLE_LIMIT_MS = 60_000;
/** Streams on one connection: a proxy may bring everything over one. */
export const CONCURRENT_STREAMS_MAX = SUBSCRIBERS_MAX + READ_STREAMS_MAX + CALLS_IN_FLIGHT_MAX;
/**
 * How long a request may take to arrive: the largest one needs 7 Mbit/s. It is much
 * shorter than a call, since a client that never finishes its requests pays nothing for them.
 */
export const REQUEST_TIME_LIMIT_MS = 5000;
/**
 * A DATA frame that is smaller, and neither begins nor ends a message, is tiny. Clients
 * split a message where a frame (16 KiB) or a window (64 KiB) ends.
 */
export const TINY_DATA_BYTES = 256;
/**
 * What one connection may do before it is ended. Each costs some 10 to 100 µs, so that one
 * burst stops other calls for less than they would notice. Clients need none of the
 * first two, but after an upgrade. Node.js itself ends a connection after 1000 resets and then 33 a
 * second, without a word; this comes a little before.
 */
export const FLOOD_ALLOWANCES = {
  tiny_data: { burst: 1000, perSecond: 100 },
  unknown_method: { burst: 100, perSecond: 20 },
  reset_call: { burst: 800, perSecond: 30 },
} as const;
/** How soon a client that met a capacity may try again: by then most calls in flight have ended. */
export const RETRY_DELAY_MS = 1000;
/** From the end of a call to that of its connection, if the peer does not even take the end. */
export const CLOSE_TIME_LIMIT_MS = 1000;
/**
 * A peer that has vanished is noticed after these two together; without pings its streams would
 * stay. So is a connection on which Node.js reads no more: after some faults in the framing (DATA
 * on stream 0, say) it sends GOAWAY, reports nothing, and does not see that the peer has closed.
 * Together they are as long as a call may take, so that such a connection holds no more than a call.
 */
export const KEEPALIVE_INTERVAL_MS = 10_000;
export const KEEPALIVE_TIMEOUT_MS = 20_000;
/** Of a message that a failure sends to a client. */
export const STATUS_MESSAGE_BYTES_MAX = KIB;
