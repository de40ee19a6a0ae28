/** The bounds of the Redis store, with their reasons. */

const MIB = 1024 * 1024;

/** Bytes of one homeserver's log in Redis: with 65,536 event IDs of the usual length it is full. */
export const LOG_BYTES_MAX = 16 * MIB;
/** How long a homeserver's state stays without a write: longer than any metadata's time to live needs. */
export const STATE_TTL_MS = 31 * 24 * 60 * 60 * 1000;
/** How much longer a room's token and a body stay than the metadata that needs them. */
export const SPARE_TTL_MS = 60_000;
/**
 * Replicas that a primary must have unless the operator says otherwise. Sentinels make another server primary
 * whether or not this process has ever seen it, so a primary without any replica is none to rely on. Of one server
 * alone there are none, and of a Cluster it cannot be known.
 */
export const REPLICAS_MIN_DEFAULT = { single: 0, sentinel: 1, cluster: 0 } as const;
/** How long a proof that a server is the primary holds; it is renewed at half of that. */
export const PROOF_LIFETIME_MS = 2000;
/** How long a primary's replicas may take to acknowledge a proof. */
export const PROOF_ACK_TIMEOUT_MS = 500;
/** How long Redis may take to answer: past that, a read is a miss and a write fails. */
export const COMMAND_TIMEOUT_MS = 1000;
/** How long to wait for a connection, and then for the server's greeting. */
export const CONNECT_TIMEOUT_MS = 1000;
/** Pauses between attempts to connect. */
export const RECONNECT_DELAY_MS_MIN = 50;
export const RECONNECT_DELAY_MS_MAX = 500;
/** Commands that wait for their replies, on one connection: what a second of a busy server takes. */
export const COMMANDS_PENDING_MAX = 20_000;
/** Bytes of bodies on their way to Redis: twice what may be in flight, since redacted ones may come beside. */
export const PENDING_BYTES_MAX = 128 * MIB;
/** Event IDs that one script looks up: others wait meanwhile. */
export const SCRIPT_IDS_MAX = 2000;
/** Bytes of bodies that are fetched at once, beside the memory budget: those of nine full replies. */
export const FETCHED_BYTES_MAX = 32 * MIB;
/** Event IDs of a change up to which its announcement carries it: a longer one is read from the log. */
export const ANNOUNCED_IDS_MAX = 16;
/** Event IDs that are read from the log at once, but for those of the change that reaches it. */
export const LOG_PAGE_IDS = 2000;
/** Changes before the place where a copy of a log begins: who resumes a little behind the first may, too. */
export const LOG_LOOK_BACK = 1000;
