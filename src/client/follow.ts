import type { ClientReadableStream } from "@grpc/grpc-js";
import type { Duration } from "../gen/google/protobuf/duration.js";
import type {
  EventCacheServiceClient,
  Notice,
  ResetReason,
  SubscribeResponse,
} from "../gen/splitcache/v1/event_cache_service.js";
import { EpochHistory } from "./epoch-history.js";
import { errorOf, isPermanent, isRefused, SplitCacheError } from "./errors.js";
import { SILENCE_MS_DEFAULT } from "./limits.js";
import { epochOf, formatPosition, type Position } from "./position.js";
import { onAbort, pause } from "./signals.js";

/** An item of a followed log: a frame, one notice of a batch, or the end of a stream. */
export type Followed =
  | {
      readonly kind: "ready";
      readonly position: Position;
      readonly resumed: boolean;
      readonly silenceMs: number;
    }
  | {
      readonly kind: "reset";
      readonly position: Position;
      readonly reason: ResetReason;
      readonly silenceMs: number;
    }
  | { readonly kind: "notice"; readonly notice: Notice; readonly position: Position }
  /** All notices up to here were yielded. Follows the notices of a batch as well. */
  | { readonly kind: "progress"; readonly position: Position }
  | { readonly kind: "goingAway" }
  | { readonly kind: "disconnected"; readonly error: SplitCacheError; readonly retryInMs: number };

export interface FollowOptions {
  readonly homeserver: string;
  /** The last position that was applied; undefined: start at the current one. */
  readonly resumeAfter?: Position | undefined;
  /** This subscriber's name in the sidecar's logs. */
  readonly subscriber?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Yields the end of a stream that the sidecar refused, in place of throwing. */
  readonly survivesRefusal?: boolean;
  /** Between 0 and 1, for the jitter of the reconnects. */
  readonly random?: () => number;
}

const RETRY_MS_MIN = 100;
const RETRY_MS_MAX = 5000;

/**
 * Follows a homeserver's log until the reader stops or the signal is aborted. Reconnects and resumes after
 * the last position that it yielded. A stream without a frame for its silence limit is replaced. Throws a
 * SplitCacheError if the sidecar refuses the subscription (REFUSED codes), if it skips a notice
 * (BROKEN_STREAM), and if an epoch comes back after another epoch (TWO_LOGS).
 */
export async function* follow(
  client: Pick<EventCacheServiceClient, "subscribe">,
  options: FollowOptions,
): AsyncGenerator<Followed> {
  const { homeserver, subscriber = "", signal, random = Math.random } = options;
  const epochs = new EpochHistory();
  let { resumeAfter } = options;
  let failures = 0;
  while (!signal?.aborted) {
    const stream = client.subscribe({ homeserver, resumeAfter, subscriber });
    const forget = onAbort(signal, () => stream.cancel());
    let error = new SplitCacheError("UNAVAILABLE", "the stream ended");
    let hasWorked = false;
    try {
      for await (const followed of frames(stream, () => resumeAfter)) {
        failures = 0;
        hasWorked = true;
        if ("position" in followed) {
          checkEpoch(epochs, followed.position);
          resumeAfter = followed.position;
        }
        yield followed;
      }
    } catch (failure) {
      if (signal?.aborted) return;
      error = errorOf(failure);
      // A token may have been replaced while the stream was open: the next call takes the new one.
      const mayContinue = isRefused(error) && (hasWorked || options.survivesRefusal);
      if ((isPermanent(error) && !mayContinue) || error.code === "BROKEN_STREAM") throw error;
    } finally {
      forget();
      stream.cancel();
    }
    const retryInMs = Math.min(RETRY_MS_MAX, RETRY_MS_MIN * 2 ** failures) * (0.5 + random() / 2);
    failures += 1;
    yield { kind: "disconnected", error, retryInMs };
    await pause(retryInMs, signal);
  }
}

/** The frames of one stream. Frames of an unknown kind are skipped, as the contract says. */
async function* frames(
  stream: ClientReadableStream<SubscribeResponse>,
  applied: () => Position | undefined,
): AsyncGenerator<Followed> {
  let silenceMs = SILENCE_MS_DEFAULT;
  for await (const { frame } of heard(stream, () => silenceMs)) {
    switch (frame?.$case) {
      case "ready":
      case "reset": {
        const position = present(frame.value.position);
        silenceMs = millisecondsOf(frame.value.silenceLimit) ?? silenceMs;
        if (frame.$case === "reset") yield { kind: "reset", position, reason: frame.value.reason, silenceMs };
        else {
          const { resumed } = frame.value;
          if (resumed || applied() !== undefined) checkContinuity(applied(), position);
          yield { kind: "ready", position, resumed, silenceMs };
        }
        break;
      }
      case "batch": {
        const { fromExclusive, toInclusive, notices } = frame.value;
        checkContinuity(applied(), present(fromExclusive));
        const position = present(toInclusive);
        for (const notice of notices)
          yield { kind: "notice", notice, position: { epoch: position.epoch, sequence: notice.sequence } };
        yield { kind: "progress", position };
        break;
      }
      case "progress":
        checkContinuity(applied(), present(frame.value.position));
        yield { kind: "progress", position: present(frame.value.position) };
        break;
      case "goingAway":
        yield { kind: "goingAway" };
    }
  }
}

/** Reads a stream, and cancels it if no frame comes for the silence limit: it may be cut off. */
async function* heard(
  stream: ClientReadableStream<SubscribeResponse>,
  limitMs: () => number,
): AsyncGenerator<SubscribeResponse> {
  const frames = (stream as AsyncIterable<SubscribeResponse>)[Symbol.asyncIterator]();
  let isSilent = false;
  for (;;) {
    // It runs only while this side waits: a reader that is slow is not the stream's silence.
    const timer = setTimeout(() => {
      isSilent = true;
      stream.cancel();
    }, limitMs());
    let next: IteratorResult<SubscribeResponse>;
    try {
      next = await frames.next();
    } catch (failure) {
      if (isSilent) throw new SplitCacheError("UNAVAILABLE", `no frame came for ${limitMs()} ms`);
      throw failure;
    } finally {
      clearTimeout(timer);
    }
    if (next.done) return;
    yield next.value;
  }
}

function millisecondsOf(duration: Duration | undefined): number | undefined {
  return duration && Number(duration.seconds) * 1000 + duration.nanos / 1e6;
}

function present(position: Position | undefined): Position {
  if (position === undefined)
    throw new SplitCacheError("BROKEN_STREAM", "a frame of the sidecar has no position");
  return position;
}

function checkContinuity(applied: Position | undefined, from: Position): void {
  if (applied !== undefined && formatPosition(applied) === formatPosition(from)) return;
  const expected = applied === undefined ? "none" : formatPosition(applied);
  const gap = `it continues from ${formatPosition(from)}, but the last applied position is ${expected}`;
  throw new SplitCacheError("BROKEN_STREAM", `the sidecar skipped notices: ${gap}`);
}

function checkEpoch(epochs: EpochHistory, position: Position): void {
  if (epochs.sees(epochOf(position))) return;
  throw new SplitCacheError(
    "TWO_LOGS",
    `TWO SEPARATE INVALIDATION LOGS answer: epoch ${epochOf(position)} came back after another epoch. Workers ` +
      "may read stale events. Stop using this cache; use one sidecar for the homeserver, or give all sidecars " +
      "the same PostgreSQL log",
  );
}
