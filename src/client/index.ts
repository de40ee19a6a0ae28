/** The public face of `@splitcache/client`. */
export type { CachedEvent } from "../gen/splitcache/v1/event_cache_service.js";
export type { Change, ChangesOptions, ResetReasonName } from "./changes.js";
export type { Counters } from "./counters.js";
export { SplitCacheError, type SplitCacheErrorCode } from "./errors.js";
export type { EventToPut } from "./events.js";
export type { Lookup } from "./flight.js";
export type { GetOptions } from "./lookups.js";
export type { CallOptions, ConnectOptions, TlsOptions } from "./options.js";
export type { Changes, OutboxRow } from "./outbox/announcement.js";
export type { OutboxClient } from "./outbox/link.js";
export type { Committed, Outbox, OutboxOptions, PoolClientLike, PoolLike } from "./outbox/outbox.js";
export type { Queryable } from "./outbox/outbox-table.js";
export { formatPosition, type Position, parsePosition } from "./position.js";
export type { Fetch } from "./read-through.js";
export { SplitCache } from "./split-cache.js";
export type { ChangeOptions, PutOutcomeName, SetOptions, SetOutcomeName, SetResult } from "./writer.js";
