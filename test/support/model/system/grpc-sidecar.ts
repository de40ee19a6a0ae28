import { type CallOptions, type ClientUnaryCall, Metadata, type ServiceError, status } from "@grpc/grpc-js";
import type { SubscriptionFrame } from "../../../../src/core/model/types.js";
import type {
  EventCacheServiceClient,
  SubscribeResponse,
} from "../../../../src/gen/splitcache/v1/event_cache_service.js";
import { SidecarLost } from "../runs/scheduler.js";
import type { Sidecar } from "./sidecar.js";
import {
  fromWireFrame,
  fromWireOutcome,
  fromWirePosition,
  fromWireSetOutcome,
  seenInReply,
  toWireEvent,
  toWirePosition,
  toWireRedaction,
  WIRE_VIEWS,
} from "./wire.js";

/** After how many turns of the event loop a call is cancelled; undefined: never. */
export type Patience = () => number | undefined;

/**
 * A sidecar behind a socket, called with the generated client; when it has ended, its
 * callers have lost it. A call of the cache or its log for which `patience` has an end is
 * made twice: it is given up, whether or not it took effect, and made again.
 */
export function grpcSidecar(
  client: EventCacheServiceClient,
  hasEnded: () => boolean,
  patience: Patience = () => undefined,
): Sidecar {
  const lostOr = (failure: unknown): unknown =>
    hasEnded() || isRefusal(failure) ? new SidecarLost(String(failure)) : failure;

  const makeOnce = <Request, Response>(
    method: UnaryMethod<Request, Response>,
    request: Request,
  ): Promise<Response> =>
    new Promise<Response>((resolve, reject) => {
      const deadline = Date.now() + PATIENCE_MS;
      method.call(client, request, new Metadata(), { deadline }, (error, response) =>
        error === null ? resolve(response) : reject(error),
      );
    }).catch((failure: unknown) => {
      throw lostOr(failure);
    });

  async function make<Request, Response>(
    method: UnaryMethod<Request, Response>,
    request: Request,
  ): Promise<Response> {
    const turns = patience();
    try {
      if (turns !== undefined) await giveUp(client, method, request, turns);
    } catch (failure) {
      throw lostOr(failure);
    }
    return makeOnce(method, request);
  }

  return {
    async getEvents({ homeserver, eventIds, view, minPosition }) {
      const reply = await make(client.getEvents, {
        homeserver,
        eventIds: [...eventIds],
        redactionView: WIRE_VIEWS[view],
        minPosition: toWirePosition(minPosition),
      });
      return { position: fromWirePosition(reply.position), events: seenInReply(reply, eventIds) };
    },
    async putEvents({ homeserver, events, asOf }) {
      const request = { homeserver, events: events.map(toWireEvent), asOf: toWirePosition(asOf) };
      const { outcomes, position } = await make(client.putEvents, request);
      return { outcomes: outcomes.map(fromWireOutcome), position: fromWirePosition(position) };
    },
    async setRedaction({ homeserver, roomId, eventId, redaction, asOf }) {
      const { outcome, position } = await make(client.setRedaction, {
        homeserver,
        roomId: roomId ?? "",
        eventId,
        redaction: toWireRedaction(redaction),
        asOf: toWirePosition(asOf),
      });
      return { outcome: fromWireSetOutcome(outcome), position: fromWirePosition(position) };
    },
    async setRejected({ homeserver, roomId, eventId, rejected, rejectedReason, asOf }) {
      const { outcome, position } = await make(client.setRejected, {
        homeserver,
        roomId: roomId ?? "",
        eventId,
        rejected,
        rejectedReason,
        asOf: toWirePosition(asOf),
      });
      return { outcome: fromWireSetOutcome(outcome), position: fromWirePosition(position) };
    },
    async invalidateEvents(homeserver, roomId, eventIds) {
      const request = { homeserver, roomId: roomId ?? "", eventIds: [...eventIds] };
      return fromWirePosition((await make(client.invalidateEvents, request)).position);
    },
    async purgeRoom(homeserver, roomId) {
      return fromWirePosition((await make(client.purgeRoom, { homeserver, roomId })).position);
    },
    async purgeHomeserver(homeserver, newEpoch) {
      return fromWirePosition((await make(client.purgeHomeserver, { homeserver, newEpoch })).position);
    },
    async *subscribe({ homeserver, resumeAfter, signal }): AsyncGenerator<SubscriptionFrame, void> {
      const request = { homeserver, resumeAfter: toWirePosition(resumeAfter), subscriber: "model" };
      let cancel = () => {};
      try {
        const call = client.subscribe(request);
        cancel = () => call.cancel();
        signal.addEventListener("abort", cancel, { once: true });
        for await (const message of call) {
          const frame = fromWireFrame(message as SubscribeResponse);
          if (frame !== undefined) yield frame;
        }
      } catch (failure) {
        if (!signal.aborted) throw lostOr(failure);
      } finally {
        signal.removeEventListener("abort", cancel);
        cancel();
      }
    },
  };
}

type UnaryMethod<Request, Response> = (
  request: Request,
  metadata: Metadata,
  options: Partial<CallOptions>,
  callback: (error: ServiceError | null, response: Response) => void,
) => ClientUnaryCall;

/** Makes a call and cancels it; ends when the client has done with it. */
async function giveUp<Request, Response>(
  client: EventCacheServiceClient,
  method: UnaryMethod<Request, Response>,
  request: Request,
  turns: number,
): Promise<void> {
  let end = () => {};
  const ended = new Promise<void>((resolve) => {
    end = resolve;
  });
  // Throws where the client was closed.
  const call = method.call(client, request, new Metadata(), {}, () => end());
  for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve));
  call.cancel();
  await ended;
}

/** Whether a sidecar that ends, or has no place for a homeserver, answers so. */
function isRefusal(failure: unknown): boolean {
  const code = failure instanceof Error && "code" in failure ? failure.code : undefined;
  return code === status.UNAVAILABLE || code === status.CANCELLED || code === status.RESOURCE_EXHAUSTED;
}

/** No call of a test takes so long. */
const PATIENCE_MS = 20_000;
