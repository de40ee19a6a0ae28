import { ConnectionTimeoutError, ErrorReply, SocketTimeoutError } from "@redis/client";
import type { TierObserver } from "../port.js";
import { EPISODE_MS } from "./limits.js";

/** Why an operation failed or an entry was rejected, and the remedy. The names are label values of a metric. */
const REMEDIES = {
  disconnected: "until the connection is back, the tier is not used",
  timeout: "reads pause until Redis answers in time again",
  overload: "more is read or written than Redis takes in time: look at its CPU and network",
  full: "Redis must evict: set its maxmemory-policy to allkeys-lru",
  read_only: "the server is a replica: --tier must name the primary, its Sentinels or its Cluster",
  loading: "it ends when Redis has loaded its data; the tier needs no persistence",
  moving: "--tier must begin with redis-cluster for a server of a Cluster, and every slot must have a server",
  denied:
    "check the user, the password and the ACL: the tier needs GET, MGET, SET, UNLINK and PING on its keys",
  wrong_type: "another program writes keys with this prefix; they are misses",
  forged: "entries were altered, copied or written with another --tier-key-file; they are misses",
  damaged: "bodies were altered; they are misses",
  version: "entries are of another version of splitcache; they are misses",
  other: "the tier is not needed for correct answers: whatever fails is a miss",
} as const;

export type Cause = keyof typeof REMEDIES;

/** A failure whose cause is known where it happens. */
export class TierFailure extends Error {
  readonly kind: Cause;

  constructor(kind: Cause, message: string) {
    super(message);
    this.name = "TierFailure";
    this.kind = kind;
  }
}

const REPLIES: readonly (readonly [start: RegExp, cause: Cause])[] = [
  [/^(OOM|MISCONF)\b/, "full"],
  [/^READONLY\b/, "read_only"],
  [/^(LOADING|MASTERDOWN)\b/, "loading"],
  [/^(MOVED|ASK|TRYAGAIN|CLUSTERDOWN|CROSSSLOT)\b/, "moving"],
  [/^(NOAUTH|WRONGPASS|NOPERM|DENIED)\b/, "denied"],
  [/^WRONGTYPE\b/, "wrong_type"],
  [/^BUSY\b/, "timeout"],
];

/** The cause of a library's error. An error that is not a server's reply concerns the connection. */
export function failureOf(error: unknown): TierFailure {
  if (error instanceof TierFailure) return error;
  const message = (error instanceof Error ? error.message : String(error)).trim();
  if (error instanceof ErrorReply)
    return new TierFailure(REPLIES.find(([start]) => start.test(message))?.[1] ?? "other", message);
  const isTimeout = error instanceof ConnectionTimeoutError || error instanceof SocketTimeoutError;
  return new TierFailure(isTimeout ? "timeout" : "disconnected", message);
}

/** Counts failures by cause, and reports each cause once per series. */
export class Failures {
  readonly counts = Object.fromEntries(Object.keys(REMEDIES).map((cause) => [cause, 0])) as Record<
    Cause,
    number
  >;
  readonly #lastMs = new Map<Cause, number>();
  readonly #observer: TierObserver;
  readonly #clock: () => number;

  constructor(observer: TierObserver, clock: () => number) {
    this.#observer = observer;
    this.#clock = clock;
  }

  /** Whether the failure was reported: it is the first of a series. */
  note(cause: Cause, message: string): boolean {
    this.counts[cause] += 1;
    const nowMs = this.#clock();
    const isNew = nowMs - (this.#lastMs.get(cause) ?? Number.NEGATIVE_INFINITY) >= EPISODE_MS;
    this.#lastMs.set(cause, nowMs);
    if (isNew) this.#observer.failed(cause, message, REMEDIES[cause]);
    return isNew;
  }

  noteError(error: unknown): boolean {
    const { kind, message } = failureOf(error);
    return this.note(kind, message);
  }
}
