import type { EventCacheServiceClient, Notice } from "../gen/splitcache/v1/event_cache_service.js";
import { errorOf, type SplitCacheError } from "./errors.js";
import { type Followed, type FollowOptions, follow } from "./follow.js";
import type { Position } from "./position.js";

/** One change of the homeserver's events, or what a follower must know of its stream. */
export type Change = (
  | {
      readonly kind: "redacted";
      readonly roomId: string;
      readonly eventId: string;
      readonly redactedBy: string;
    }
  | {
      readonly kind: "rejected";
      readonly roomId: string;
      readonly eventId: string;
      readonly rejected: boolean;
    }
  | { readonly kind: "invalidated"; readonly roomId: string; readonly eventIds: readonly string[] }
  | { readonly kind: "roomPurged"; readonly roomId: string }
  /** Anything may have changed. A change of a kind that this version does not know counts as one. */
  | { readonly kind: "homeserverPurged" }
  /** The stream began. Unless it resumed, what was kept before must be dropped. */
  | { readonly kind: "ready"; readonly resumed: boolean }
  /** Drop everything that is kept. The stream continues from here. */
  | { readonly kind: "reset"; readonly reason: ResetReasonName }
  /** All changes up to here were delivered. Only with `progress`. */
  | { readonly kind: "progress" }
) & {
  /** Store it after the change was applied, and give it as `resumeAfter`: then nothing is missed. */
  readonly position: Position;
};

/** `skipped`: the sidecar broke the contract; the stream was begun anew. */
export type ResetReasonName = "wrong epoch" | "too old" | "skipped" | "unspecified";

const REASONS = ["unspecified", "wrong epoch", "too old"] as const;

export interface ChangesOptions {
  readonly signal?: AbortSignal | undefined;
  /** The last position that was applied. Without it the stream starts at the current position. */
  readonly resumeAfter?: Position | undefined;
  /** Yields Progress as well: one in each interval without changes. */
  readonly progress?: boolean | undefined;
}

/**
 * Follows what changes. Reconnects by itself; what the sidecar cannot resume is a Reset, which is an item, never
 * an error. Ends when the signal is aborted. Throws a SplitCacheError only if following cannot go on: the
 * sidecar refuses the client's credentials, or two logs answer.
 */
export async function* changes(
  client: Pick<EventCacheServiceClient, "subscribe">,
  options: FollowOptions,
  { progress = false }: ChangesOptions,
): AsyncGenerator<Change> {
  let resumeAfter = options.resumeAfter;
  let hasSkipped = false;
  for (;;) {
    try {
      for await (const item of follow(client, { ...options, resumeAfter })) {
        const change = changeOf(item, hasSkipped);
        if (change === undefined || (change.kind === "progress" && !progress)) continue;
        hasSkipped = false;
        yield change;
      }
      return;
    } catch (failure) {
      const error: SplitCacheError = errorOf(failure);
      if (error.code !== "BROKEN_STREAM") throw error;
      // What it did not send cannot be known: begin anew, and say so.
      hasSkipped = true;
      resumeAfter = undefined;
    }
  }
}

function changeOf(item: Followed, hasSkipped: boolean): Change | undefined {
  switch (item.kind) {
    case "ready":
      return hasSkipped
        ? { kind: "reset", reason: "skipped", position: item.position }
        : { kind: "ready", resumed: item.resumed, position: item.position };
    case "reset":
      return { kind: "reset", reason: REASONS[item.reason], position: item.position };
    case "notice":
      return { ...noticed(item.notice), position: item.position };
    case "progress":
      return { kind: "progress", position: item.position };
    default:
      return undefined;
  }
}

function noticed({ change }: Notice) {
  switch (change?.$case) {
    case "eventRedacted":
      return { kind: "redacted", ...change.value } as const;
    case "eventRejected":
      return { kind: "rejected", ...change.value } as const;
    case "eventsInvalidated":
      return { kind: "invalidated", ...change.value } as const;
    case "roomPurged":
      return { kind: "roomPurged", ...change.value } as const;
    default:
      return { kind: "homeserverPurged" } as const;
  }
}
