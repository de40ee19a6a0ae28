import { BATCH_MAX, CALLS_IN_FLIGHT_MAX, READ_STREAMS_MAX, SUBSCRIBERS_MAX } from "../core/model/limits.js";

/** The limits of the transport, each with its reason. */

const KIB = 1024;
const MIB = 1024 * KIB;

/** Requests of one read stream that were read and are not answered: enough to hide a round trip. */
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
/** Bytes of batches being sent to all subscribers. Beyond it a subscriber waits until other batches were sent. */
export const SUBSCRIPTION_BYTES_MAX = 32 * MIB;
/** A subscription's request has two names and a position. This leaves room for future fields. */
export const SUBSCRIBE_REQUEST_BYTES_MAX = 64 * KIB;
/** The overhead of a queued request of a read stream, added to its bytes so that small requests are counted too. */
export const QUEUED_REQUEST_BYTES = 512;
/** Concurrent unary calls of auxiliary services: health probes. */
export const AUXILIARY_CALLS_MAX = 256;
/** Open streams of auxiliary services. They have their own limit, so that they cannot block probes. */
export const AUXILIARY_STREAMS_MAX = 256;
/** A request to an auxiliary service names a service or a symbol. */
export const AUXILIARY_REQUEST_BYTES_MAX = 64 * KIB;
/** Unread requests of one stream of an auxiliary service: clients send one request at a time. */
export const AUXILIARY_READ_AHEAD_MAX = 64;
/** A reflection stream without a request for this time is ended, as it uses one of the streams above. */
export const REFLECTION_IDLE_LIMIT_MS = 60_000;
/** Streams on one connection: a proxy may use one connection for everything. */
export const CONCURRENT_STREAMS_MAX = SUBSCRIBERS_MAX + READ_STREAMS_MAX + CALLS_IN_FLIGHT_MAX;
/**
 * The time limit for a request to arrive: the largest needs 7 Mbit/s. It is much shorter
 * than the limit of a call, since unfinished requests cost a client nothing.
 */
export const REQUEST_TIME_LIMIT_MS = 5000;
/**
 * A DATA frame is tiny if it is smaller than this and neither starts nor ends a message.
 * Clients split a message only where a frame (16 KiB) or a window (64 KiB) ends.
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
/** The retry delay after a full capacity: most calls in flight have ended by then. */
export const RETRY_DELAY_MS = 1000;
/** The time from the end of a call until its connection is closed, if the peer does not read the end. */
export const CLOSE_TIME_LIMIT_MS = 1000;
/**
 * A peer that has vanished is noticed after these two together; without pings its streams would
 * stay. So is a connection on which Node.js reads no more: after some faults in the framing (DATA
 * on stream 0, say) it sends GOAWAY, reports nothing, and does not see that the peer has closed.
 * Together they are as long as a call may take, so that such a connection holds no more than a call.
 */
export const KEEPALIVE_INTERVAL_MS = 10_000;
export const KEEPALIVE_TIMEOUT_MS = 20_000;
/** Limit of the error message in a status. */
export const STATUS_MESSAGE_BYTES_MAX = KIB;
