import type { Fills } from "./fills.js";
import type { NearCache } from "./near/near-cache.js";
import type { ReadRules } from "./read-rules.js";
import type { Reader } from "./reader.js";

/** What a client counts. */
export interface Counters {
  /** Undefined without a near cache. */
  readonly near:
    | (Readonly<NearCache["counters"]> & { readonly events: number; readonly bytes: number })
    | undefined;
  readonly isNearUsable: boolean;
  readonly reads: Readonly<Reader["counters"] & ReadRules["counters"]> & { readonly streams: number };
  readonly fills: Readonly<Fills["counters"]>;
  readonly hasTwoLogs: boolean;
}
