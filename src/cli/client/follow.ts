import type { ClientReadableStream } from "@grpc/grpc-js";
import type {
  Notice,
  Position,
  ResetReason,
  SubscribeResponse,
} from "../../gen/splitcache/v1/event_cache_service.js";
import { CliError, ExitCode } from "../exit-code.js";
import { epochText, formatPosition } from "../io/contract-text.js";
import { abortableDelay } from "./abort.js";
import type { SidecarConnection } from "./connection.js";
import { describeFailure, isPermanent } from "./describe-failure.js";
import { EpochHistory } from "./epoch-history.js";

/** An item of a followed log: a frame, one notice of a batch, or the end of a stream. */
export type Followed =
  | { readonly kind: "ready"; readonly position: Position; readonly resumed: boolean }
  | { readonly kind: "reset"; readonly position: Position; readonly reason: ResetReason }
  | { readonly kind: "notice"; readonly notice: Notice; readonly position: Position }
  | { readonly kind: "progress"; readonly position: Position }
  | { readonly kind: "goingAway" }
  | { readonly kind: "disconnected"; readonly reason: string; readonly retryInMs: number };

export interface FollowOptions {
  readonly homeserver: string;
  /** The last position that was applied; undefined: start at the current one. */
  readonly resumeAfter: Position | undefined;
  /** This subscriber's name in the sidecar's logs. */
  readonly subscriber: string;
  /** Between 0 and 1, for the jitter of the reconnects. */
  readonly random: () => number;
  /** Ends the stream when it is aborted; the connection's signal unless given. */
  readonly signal?: AbortSignal;
}

const RETRY_MS_MIN = 100;
const RETRY_MS_MAX = 5000;

/**
 * Follows a homeserver's log until the reader stops or the signal is aborted. Reconnects
 * and resumes after the last position that it yielded. Throws if the sidecar refuses the
 * subscription, if it skips a notice, and if an epoch comes back after another epoch.
 */
export async function* follow(
  connection: SidecarConnection,
  options: FollowOptions,
): AsyncGenerator<Followed> {
  const epochs = new EpochHistory();
  const { homeserver, subscriber, signal = connection.signal } = options;
  let { resumeAfter } = options;
  let failures = 0;
  while (!signal.aborted) {
    const stream = connection.client.subscribe({ homeserver, resumeAfter, subscriber });
    const cancel = () => stream.cancel();
    signal.addEventListener("abort", cancel);
    let reason = "the stream ended";
    try {
      for await (const followed of frames(stream, () => resumeAfter)) {
        failures = 0;
        if ("position" in followed) {
          checkEpoch(epochs, followed.position, connection.address);
          resumeAfter = followed.position;
        }
        yield followed;
      }
    } catch (failure) {
      if (signal.aborted) return;
      if (isPermanent(failure)) throw failure;
      reason = describeFailure(failure, connection.address).message;
    } finally {
      signal.removeEventListener("abort", cancel);
      cancel();
    }
    const retryInMs = Math.min(RETRY_MS_MAX, RETRY_MS_MIN * 2 ** failures) * (0.5 + options.random() / 2);
    failures += 1;
    yield { kind: "disconnected", reason, retryInMs };
    await abortableDelay(retryInMs, signal);
  }
}

/** The frames of one stream. Frames of an unknown kind are skipped, as the contract says. */
async function* frames(
  stream: ClientReadableStream<SubscribeResponse>,
  applied: () => Position | undefined,
): AsyncGenerator<Followed> {
  for await (const { frame } of stream as AsyncIterable<SubscribeResponse>) {
    switch (frame?.$case) {
      case "ready":
        if (applied() !== undefined) checkContinuity(applied(), present(frame.value.position));
        yield { kind: "ready", position: present(frame.value.position), resumed: frame.value.resumed };
        break;
      case "reset":
        yield { kind: "reset", position: present(frame.value.position), reason: frame.value.reason };
        break;
      case "batch": {
        const { fromExclusive, toInclusive, notices } = frame.value;
        checkContinuity(applied(), present(fromExclusive));
        const { epoch } = present(toInclusive);
        for (const notice of notices) {
          yield { kind: "notice", notice, position: { epoch, sequence: notice.sequence } };
        }
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

function present(position: Position | undefined): Position {
  if (position === undefined) throw new CliError(ExitCode.failure, "a frame of the sidecar has no position");
  return position;
}

function checkContinuity(applied: Position | undefined, from: Position): void {
  if (formatPosition(applied) === formatPosition(from)) return;
  const gap = `it continues from ${formatPosition(from)}, but the last applied position is ${formatPosition(applied)}`;
  throw new CliError(ExitCode.failure, `the sidecar skipped notices: ${gap}`);
}

function checkEpoch(epochs: EpochHistory, position: Position, address: string): void {
  if (epochs.sees(epochText(position))) return;
  throw new CliError(
    ExitCode.twoLogs,
    `TWO SEPARATE INVALIDATION LOGS answer at ${address}: epoch ${epochText(position)} came back after ` +
      "another epoch. Workers may read stale events. Stop using this cache; use one sidecar for the " +
      "homeserver, or give all sidecars the same PostgreSQL log",
  );
}
