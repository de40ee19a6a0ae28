import type { ClientReadableStream } from "@grpc/grpc-js";
import type {
  Notice,
  Position,
  ResetReason,
  SubscribeResponse,
} from "../../gen/splitcache/v1/event_cache_service.js";
import { CliError } from "../cli-error.js";
import { ExitCode } from "../exit-code.js";
import { epochText, formatPosition } from "../io/position-text.js";
import { abortableDelay } from "./abortable-delay.js";
import type { Connection } from "./connection.js";
import { describeFailure, isPermanent } from "./describe-failure.js";
import { EpochHistory } from "./epoch-history.js";

/** What a follower sees: the frames that matter, one notice at a time, and the breaks between streams. */
export type Followed =
  | { readonly kind: "ready"; readonly position: Position; readonly resumed: boolean }
  | { readonly kind: "reset"; readonly position: Position; readonly reason: ResetReason }
  | { readonly kind: "notice"; readonly notice: Notice; readonly position: Position }
  | { readonly kind: "progress"; readonly position: Position }
  | { readonly kind: "goingAway" }
  | { readonly kind: "broken"; readonly reason: string; readonly retryInMs: number };

export interface FollowOptions {
  readonly homeserver: string;
  /** The last position that was applied; absent: start at the current one. */
  readonly resumeAfter: Position | undefined;
  /** This subscriber's name in the sidecar's logs. */
  readonly subscriber: string;
  /** Between 0 and 1, for the jitter of the reconnects. */
  readonly random: () => number;
}

const RETRY_MS_MIN = 100;
const RETRY_MS_MAX = 5000;

/**
 * Follows a homeserver's log until the reader stops or the connection's signal
 * is aborted: reconnects and resumes after the last position that it yielded.
 * Throws if the sidecar refuses the subscription, if a notice is skipped, and if
 * two stores answer at the address: an epoch that comes back after another one.
 */
export async function* follow(connection: Connection, options: FollowOptions): AsyncGenerator<Followed> {
  const epochs = new EpochHistory();
  let { resumeAfter } = options;
  let failures = 0;
  while (!connection.signal.aborted) {
    const { homeserver, subscriber } = options;
    const stream = connection.client.subscribe({ homeserver, resumeAfter, subscriber });
    let reason = "the stream ended";
    try {
      for await (const followed of frames(connection, stream, () => resumeAfter)) {
        failures = 0;
        if ("position" in followed) {
          checkEpoch(epochs, followed.position, connection.address);
          resumeAfter = followed.position;
        }
        yield followed;
      }
    } catch (failure) {
      if (connection.signal.aborted) return;
      if (isPermanent(failure)) throw failure;
      reason = describeFailure(failure, connection.address).message;
    } finally {
      stream.cancel();
    }
    const retryInMs = Math.min(RETRY_MS_MAX, RETRY_MS_MIN * 2 ** failures) * (0.5 + options.random() / 2);
    failures += 1;
    yield { kind: "broken", reason, retryInMs };
    await abortableDelay(retryInMs, connection.signal);
  }
}

/** The frames of one stream. A frame of a kind that is not known is skipped, as the contract says. */
async function* frames(
  connection: Connection,
  stream: ClientReadableStream<SubscribeResponse>,
  applied: () => Position | undefined,
): AsyncGenerator<Followed> {
  const release = connection.cancelOnAbort(stream);
  try {
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
  } finally {
    release();
  }
}

function present(position: Position | undefined): Position {
  if (position === undefined) throw new CliError(ExitCode.failure, "a frame came without its position");
  return position;
}

function checkContinuity(applied: Position | undefined, from: Position): void {
  if (formatPosition(applied) === formatPosition(from)) return;
  const gap = `it goes on from ${formatPosition(from)}, but ${formatPosition(applied)} was the last applied`;
  throw new CliError(ExitCode.failure, `the sidecar skipped notices: ${gap}`);
}

function checkEpoch(epochs: EpochHistory, position: Position, address: string): void {
  if (epochs.sees(epochText(position))) return;
  throw new CliError(
    ExitCode.twoStores,
    `TWO STORES answer at ${address}: epoch ${epochText(position)} came back after another one. ` +
      "Sidecars that do not know of each other serve each other's clients stale events: stop using this " +
      "cache and send all workers of the homeserver to one sidecar",
  );
}
