import * as wire from "../../gen/splitcache/v1/event_cache_service.js";
import { serializeOutgoing } from "../wire/outgoing.js";
import { strictDecoder } from "../wire/strict-decode.js";
import { type FieldShape, type MessageShape, text } from "../wire/wire-shape.js";

const generated = wire.EventCacheServiceService;

const texts = (name: string): FieldShape => ({ name, isRepeated: true, message: undefined });
const message = (name: string, shape: MessageShape): FieldShape => ({
  name,
  isRepeated: false,
  message: shape,
});

/** By the field numbers of the contract. */
const POSITION: MessageShape = {};
const HOMESERVER: MessageShape = { 1: text("homeserver") };
const REDACTION: MessageShape = { 1: text("redacted_by") };
const CACHED_EVENT: MessageShape = {
  1: text("event_id"),
  2: text("room_id"),
  3: text("room_version"),
  6: text("rejected_reason"),
  7: message("redaction", REDACTION),
};
const GET_EVENTS_REQUEST: MessageShape = {
  ...HOMESERVER,
  2: texts("event_ids"),
  4: message("min_position", POSITION),
};
const ROOM_EVENT: MessageShape = { ...HOMESERVER, 2: text("room_id"), 3: text("event_id") };

/**
 * The generated service with serialisers of our own: requests are decoded
 * strictly, and what is sent often or is large is written by hand.
 */
export const serviceDefinition = {
  getEvents: {
    ...generated.getEvents,
    requestDeserialize: strictDecoder(wire.GetEventsRequest, GET_EVENTS_REQUEST),
    responseSerialize: serializeOutgoing,
  },
  getEventsStream: {
    ...generated.getEventsStream,
    requestDeserialize: strictDecoder(wire.GetEventsStreamRequest, {
      2: message("request", GET_EVENTS_REQUEST),
    }),
    responseSerialize: serializeOutgoing,
  },
  putEvent: {
    ...generated.putEvent,
    requestDeserialize: strictDecoder(wire.PutEventRequest, {
      ...HOMESERVER,
      2: message("event", CACHED_EVENT),
      3: message("as_of", POSITION),
    }),
  },
  putEvents: {
    ...generated.putEvents,
    requestDeserialize: strictDecoder(wire.PutEventsRequest, {
      ...HOMESERVER,
      2: { name: "events", isRepeated: true, message: CACHED_EVENT },
      3: message("as_of", POSITION),
    }),
  },
  setRedaction: {
    ...generated.setRedaction,
    requestDeserialize: strictDecoder(wire.SetRedactionRequest, {
      ...ROOM_EVENT,
      4: message("redaction", REDACTION),
      5: message("as_of", POSITION),
    }),
  },
  setRejected: {
    ...generated.setRejected,
    requestDeserialize: strictDecoder(wire.SetRejectedRequest, {
      ...ROOM_EVENT,
      5: text("rejected_reason"),
      6: message("as_of", POSITION),
    }),
  },
  invalidateEvents: {
    ...generated.invalidateEvents,
    requestDeserialize: strictDecoder(wire.InvalidateEventsRequest, {
      ...HOMESERVER,
      2: text("room_id"),
      3: texts("event_ids"),
    }),
  },
  purgeRoom: {
    ...generated.purgeRoom,
    requestDeserialize: strictDecoder(wire.PurgeRoomRequest, { ...HOMESERVER, 2: text("room_id") }),
  },
  purgeHomeserver: {
    ...generated.purgeHomeserver,
    requestDeserialize: strictDecoder(wire.PurgeHomeserverRequest, HOMESERVER),
  },
  subscribe: {
    ...generated.subscribe,
    requestDeserialize: strictDecoder(wire.SubscribeRequest, {
      ...HOMESERVER,
      2: message("resume_after", POSITION),
      3: text("subscriber"),
    }),
    responseSerialize: serializeOutgoing,
  },
};
