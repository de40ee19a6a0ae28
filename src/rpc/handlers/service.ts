import type * as wire from "../../gen/splitcache/v1/event_cache_service.js";
import {
  toPositionResponse,
  toPutEventResponse,
  toPutEventsResponse,
  toSetResponse,
} from "../convert/reply.js";
import * as from from "../convert/request.js";
import { checked, type RequestCheck } from "../convert/request-check.js";
import type { Outgoing } from "../wire/outgoing.js";
import { getEventsReply } from "../wire/reply-encoder.js";
import { type ReadStreamContext, readStreamHandler } from "./read-stream.js";
import { asSeenBy, readOf } from "./reader-view.js";
import { type SubscribeContext, subscriptionFrames } from "./subscription.js";
import { serverStreamHandler, unaryHandler, unaryReplyHandler } from "./unary-and-stream.js";

/** Creates the handlers of the service. Each converts the request, calls the store and converts the result. */
export function createService(context: ReadStreamContext & SubscribeContext) {
  const { store, logger, allowedHomeservers } = context;

  const unary = <Request, Converted, Response>(
    convert: (check: RequestCheck, request: Request) => Converted,
    serve: (request: Converted) => Promise<Response>,
  ) =>
    unaryHandler(
      async (request: Request) => serve(checked(allowedHomeservers, (check) => convert(check, request))),
      logger,
    );

  return {
    getEvents: unaryReplyHandler<wire.GetEventsRequest, Outgoing>((request, reply, caller) => {
      const read = readOf(
        caller,
        checked(allowedHomeservers, (check) => from.fromGetEvents(check, request)),
      );
      return store.getEvents(read, (result) => reply(getEventsReply(read, asSeenBy(caller, result))));
    }, logger),
    getEventsStream: readStreamHandler(context),
    putEvent: unary(from.fromPutEvent, async (put) => toPutEventResponse(await store.putEvents(put))),
    putEvents: unary(from.fromPutEvents, async (put) => toPutEventsResponse(await store.putEvents(put))),
    setRedaction: unary(from.fromSetRedaction, async (set) => toSetResponse(await store.setRedaction(set))),
    setRejected: unary(from.fromSetRejected, async (set) => toSetResponse(await store.setRejected(set))),
    invalidateEvents: unary(from.fromInvalidateEvents, async ({ homeserver, roomId, eventIds }) =>
      toPositionResponse(await store.invalidateEvents(homeserver, roomId, eventIds)),
    ),
    purgeRoom: unary(from.fromPurgeRoom, async ({ homeserver, roomId }) =>
      toPositionResponse(await store.purgeRoom(homeserver, roomId)),
    ),
    purgeHomeserver: unary(from.fromPurgeHomeserver, async ({ homeserver, newEpoch }) =>
      toPositionResponse(await store.purgeHomeserver(homeserver, newEpoch)),
    ),
    subscribe: serverStreamHandler(
      (request: wire.SubscribeRequest, caller) =>
        subscriptionFrames(
          context,
          checked(allowedHomeservers, (check) => from.fromSubscribe(check, request)),
          caller,
        ),
      logger,
    ),
  };
}
