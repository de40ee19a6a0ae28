import type { HomeserverStats } from "./store.js";

type Writable<T> = {
  -readonly [K in keyof T]: T[K] extends Readonly<Record<string, number>> ? Record<keyof T[K], number> : T[K];
};

/** Counters of one homeserver since it was first seen. They never decrease. */
export type Counters = Writable<
  Pick<HomeserverStats, "hits" | "misses" | "puts" | "sets" | "changes" | "resets" | "refusals" | "epochs">
>;

export function newCounters(): Counters {
  return {
    hits: 0,
    misses: { absent: 0, orphaned: 0, expired: 0, unverified: 0, behind: 0, unredactable: 0 },
    puts: { stored: 0, fenced: 0, tooOld: 0, wrongEpoch: 0, unverified: 0 },
    sets: { applied: 0, dropped: 0, absent: 0 },
    changes: { redacted: 0, rejected: 0, invalidated: 0, roomPurged: 0, homeserverPurged: 0 },
    resets: { wrongEpoch: 0, tooOld: 0 },
    refusals: { calls: 0, bytes: 0, subscribers: 0, readStreams: 0, changes: 0 },
    epochs: 0,
  };
}
