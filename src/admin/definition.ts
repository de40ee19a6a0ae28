import * as wire from "../gen/splitcache/admin/v1/admin_service.js";
import { shapeOf } from "../rpc/wire/request-shapes.js";
import { strictDecoder } from "../rpc/wire/strict-decode.js";

const generated = wire.AdminServiceService;

/** The generated service with strict decoding of requests. */
export const adminDefinition = {
  listHomeservers: {
    ...generated.listHomeservers,
    requestDeserialize: decoderOf(wire.ListHomeserversRequest, "ListHomeserversRequest"),
  },
  listMembers: {
    ...generated.listMembers,
    requestDeserialize: decoderOf(wire.ListMembersRequest, "ListMembersRequest"),
  },
  listMemberPositions: {
    ...generated.listMemberPositions,
    requestDeserialize: decoderOf(wire.ListMemberPositionsRequest, "ListMemberPositionsRequest"),
  },
  listSubscribers: {
    ...generated.listSubscribers,
    requestDeserialize: decoderOf(wire.ListSubscribersRequest, "ListSubscribersRequest"),
  },
  listConnections: {
    ...generated.listConnections,
    requestDeserialize: decoderOf(wire.ListConnectionsRequest, "ListConnectionsRequest"),
  },
  getLogLevel: {
    ...generated.getLogLevel,
    requestDeserialize: decoderOf(wire.GetLogLevelRequest, "GetLogLevelRequest"),
  },
  setLogLevel: {
    ...generated.setLogLevel,
    requestDeserialize: decoderOf(wire.SetLogLevelRequest, "SetLogLevelRequest"),
  },
  drain: { ...generated.drain, requestDeserialize: decoderOf(wire.DrainRequest, "DrainRequest") },
  undrain: { ...generated.undrain, requestDeserialize: decoderOf(wire.UndrainRequest, "UndrainRequest") },
};

export const ADMIN_SERVICE = "splitcache.admin.v1.AdminService";

/** The deserialiser of a request of the contract. */
function decoderOf<Message>(type: Parameters<typeof strictDecoder<Message>>[0], name: string) {
  return strictDecoder(type, shapeOf(`splitcache.admin.v1.${name}`));
}
