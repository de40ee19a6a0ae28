import * as wire from "../../gen/splitcache/v1/event_cache_service.js";
import { serializeOutgoing } from "../wire/outgoing.js";
import { shapeOf } from "../wire/request-shapes.js";
import { strictDecoder } from "../wire/strict-decode.js";

const generated = wire.EventCacheServiceService;

/** The deserialiser of a request of the contract. */
function decoderOf<Message>(type: RequestType<Message>, name: string) {
  return strictDecoder(type, shapeOf(`splitcache.v1.${name}`));
}

type RequestType<Message> = Parameters<typeof strictDecoder<Message>>[0];

/**
 * The generated service with serialisers of our own: requests are decoded
 * strictly, and what is sent often or is large is written by hand.
 */
export const serviceDefinition = {
  getEvents: {
    ...generated.getEvents,
    requestDeserialize: decoderOf(wire.GetEventsRequest, "GetEventsRequest"),
    responseSerialize: serializeOutgoing,
  },
  getEventsStream: {
    ...generated.getEventsStream,
    requestDeserialize: decoderOf(wire.GetEventsStreamRequest, "GetEventsStreamRequest"),
    responseSerialize: serializeOutgoing,
  },
  putEvent: {
    ...generated.putEvent,
    requestDeserialize: decoderOf(wire.PutEventRequest, "PutEventRequest"),
  },
  putEvents: {
    ...generated.putEvents,
    requestDeserialize: decoderOf(wire.PutEventsRequest, "PutEventsRequest"),
  },
  setRedaction: {
    ...generated.setRedaction,
    requestDeserialize: decoderOf(wire.SetRedactionRequest, "SetRedactionRequest"),
  },
  setRejected: {
    ...generated.setRejected,
    requestDeserialize: decoderOf(wire.SetRejectedRequest, "SetRejectedRequest"),
  },
  invalidateEvents: {
    ...generated.invalidateEvents,
    requestDeserialize: decoderOf(wire.InvalidateEventsRequest, "InvalidateEventsRequest"),
  },
  purgeRoom: {
    ...generated.purgeRoom,
    requestDeserialize: decoderOf(wire.PurgeRoomRequest, "PurgeRoomRequest"),
  },
  purgeHomeserver: {
    ...generated.purgeHomeserver,
    requestDeserialize: decoderOf(wire.PurgeHomeserverRequest, "PurgeHomeserverRequest"),
  },
  subscribe: {
    ...generated.subscribe,
    requestDeserialize: decoderOf(wire.SubscribeRequest, "SubscribeRequest"),
    responseSerialize: serializeOutgoing,
  },
};
