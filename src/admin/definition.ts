import * as wire from "../gen/splitcache/admin/v1/admin_service.js";
import { strictDecoder } from "../rpc/wire/strict-decode.js";
import { type MessageShape, text } from "../rpc/wire/wire-shape.js";

const generated = wire.AdminServiceService;

/** By the field numbers of the contract. */
const NOTHING: MessageShape = {};
const PAGE: MessageShape = { 2: text("page_token") };
const HOMESERVER_PAGE: MessageShape = { ...PAGE, 3: text("homeserver") };

/** The generated service; requests are decoded strictly. */
export const adminDefinition = {
  listHomeservers: {
    ...generated.listHomeservers,
    requestDeserialize: strictDecoder(wire.ListHomeserversRequest, HOMESERVER_PAGE),
  },
  listMembers: {
    ...generated.listMembers,
    requestDeserialize: strictDecoder(wire.ListMembersRequest, PAGE),
  },
  listMemberPositions: {
    ...generated.listMemberPositions,
    requestDeserialize: strictDecoder(wire.ListMemberPositionsRequest, {
      ...HOMESERVER_PAGE,
      4: text("member_id"),
    }),
  },
  listSubscribers: {
    ...generated.listSubscribers,
    requestDeserialize: strictDecoder(wire.ListSubscribersRequest, HOMESERVER_PAGE),
  },
  listConnections: {
    ...generated.listConnections,
    requestDeserialize: strictDecoder(wire.ListConnectionsRequest, PAGE),
  },
  getLogLevel: {
    ...generated.getLogLevel,
    requestDeserialize: strictDecoder(wire.GetLogLevelRequest, NOTHING),
  },
  setLogLevel: {
    ...generated.setLogLevel,
    requestDeserialize: strictDecoder(wire.SetLogLevelRequest, NOTHING),
  },
  drain: { ...generated.drain, requestDeserialize: strictDecoder(wire.DrainRequest, NOTHING) },
  undrain: { ...generated.undrain, requestDeserialize: strictDecoder(wire.UndrainRequest, NOTHING) },
};

export const ADMIN_SERVICE = "splitcache.admin.v1.AdminService";
