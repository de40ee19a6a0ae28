import * as wire from "../gen/splitcache/v1/event_cache_service.js";
import { serializeOutgoing } from "./outgoing.js";
import { strictDecoder } from "./strict-decode.js";
import type { MessageShape } from "./wire-shape.js";

const generated = wire.EventCacheServiceService;

const LEAF: MessageShape = {};
/** By the field numbers of the contract: Position has no messages in it, CachedEvent has a Redaction. */
const CACHED_EVENT: MessageShape = { 7: LEAF };
const GET_EVENTS_REQUEST: MessageShape = { 4: LEAF };

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
    requestDeserialize: strictDecoder(wire.GetEventsStreamRequest, { 2: GET_EVENTS_REQUEST }),
    responseSerialize: serializeOutgoing,
  },
  putEvent: {
    ...generated.putEvent,
    requestDeserialize: strictDecoder(wire.PutEventRequest, { 2: CACHED_EVENT, 3: LEAF }),
  },
  putEvents: {
    ...generated.putEvents,
    requestDeserialize: strictDecoder(wire.PutEventsRequest, { 2: CACHED_EVENT, 3: LEAF }),
  },
  setRedaction: {
    ...generated.setRedaction,
    requestDeserialize: strictDecoder(wire.SetRedactionRequest, { 4: LEAF, 5: LEAF }),
  },
  setRejected: {
    ...generated.setRejected,
    requestDeserialize: strictDecoder(wire.SetRejectedRequest, { 6: LEAF }),
  },
  invalidateEvents: {
    ...generated.invalidateEvents,
    requestDeserialize: strictDecoder(wire.InvalidateEventsRequest, LEAF),
  },
  purgeRoom: {
    ...generated.purgeRoom,
    requestDeserialize: strictDecoder(wire.PurgeRoomRequest, LEAF),
  },
  purgeHomeserver: {
    ...generated.purgeHomeserver,
    requestDeserialize: strictDecoder(wire.PurgeHomeserverRequest, LEAF),
  },
  declareWriters: {
    ...generated.declareWriters,
    requestDeserialize: strictDecoder(wire.DeclareWritersRequest, LEAF),
  },
  renewWriterLease: {
    ...generated.renewWriterLease,
    requestDeserialize: strictDecoder(wire.RenewWriterLeaseRequest, LEAF),
  },
  releaseWriterLease: {
    ...generated.releaseWriterLease,
    requestDeserialize: strictDecoder(wire.ReleaseWriterLeaseRequest, LEAF),
  },
  subscribe: {
    ...generated.subscribe,
    requestDeserialize: strictDecoder(wire.SubscribeRequest, { 2: LEAF }),
    responseSerialize: serializeOutgoing,
  },
};
