import * as wire from "../../src/gen/splitcache/v1/event_cache_service.js";
import { cachedEvent, eventId, eventIds, type Homeserver, redaction, roomId } from "./homeserver.js";
import type { Random } from "./random.js";

/** A method and its valid requests. */
export interface Method {
  readonly path: string;
  /** Field numbers of messages that may be there once. */
  readonly singularMessages: readonly number[];
  /** The field that is an epoch's parent, if the method has one. */
  readonly positionField?: number;
  /** Field numbers of texts. */
  readonly texts: readonly number[];
  /** The field that holds a batch, if the method has one. */
  readonly batchField?: number;
  make(random: Random, homeserver: Homeserver): Buffer;
  /** The position in a reply. */
  position?(reply: Buffer): wire.Position | undefined;
}

const SERVICE = "/splitcache.v1.EventCacheService";

export function readRequest(random: Random, { name, position }: Homeserver): wire.GetEventsRequest {
  return {
    homeserver: name,
    eventIds: random.chance(0.02) ? eventIds(random, 500) : random.chance(0.05) ? [] : eventIds(random, 4),
    redactionView: random.pick([0, 1, 2] as const),
    minPosition: random.chance(0.1) ? position : undefined,
  };
}

export const GET_EVENTS: Method = {
  path: `${SERVICE}/GetEvents`,
  singularMessages: [4],
  positionField: 4,
  texts: [1, 2],
  batchField: 2,
  make: (random, homeserver) => encode(wire.GetEventsRequest, readRequest(random, homeserver)),
  position: (reply) => wire.GetEventsResponse.decode(reply).position,
};

export const PUT_EVENT: Method = {
  path: `${SERVICE}/PutEvent`,
  singularMessages: [2, 3],
  positionField: 3,
  texts: [1],
  make: (random, homeserver) =>
    encode(wire.PutEventRequest, {
      homeserver: homeserver.name,
      event: cachedEvent(random, homeserver),
      asOf: homeserver.position,
    }),
  position: (reply) => wire.PutEventResponse.decode(reply).position,
};

export const PUT_EVENTS: Method = {
  path: `${SERVICE}/PutEvents`,
  singularMessages: [3],
  positionField: 3,
  texts: [1],
  batchField: 2,
  make: (random, homeserver) =>
    encode(wire.PutEventsRequest, {
      homeserver: homeserver.name,
      events: Array.from({ length: random.chance(0.02) ? random.below(200) : random.between(1, 12) }, () =>
        cachedEvent(random, homeserver),
      ),
      asOf: homeserver.position,
    }),
  position: (reply) => wire.PutEventsResponse.decode(reply).position,
};

/** All unary methods of the cache. */
const UNARY_METHODS: readonly Method[] = [
  GET_EVENTS,
  PUT_EVENT,
  PUT_EVENTS,
  {
    path: `${SERVICE}/SetRedaction`,
    singularMessages: [4, 5],
    positionField: 5,
    texts: [1, 2, 3],
    make: (random, homeserver) =>
      encode(wire.SetRedactionRequest, {
        homeserver: homeserver.name,
        roomId: random.chance(0.5) ? roomId(random) : "",
        eventId: eventId(random),
        redaction: redaction(random, homeserver),
        asOf: random.chance(0.7) ? homeserver.position : undefined,
      }),
    position: (reply) => wire.SetRedactionResponse.decode(reply).position,
  },
  {
    path: `${SERVICE}/SetRejected`,
    singularMessages: [6],
    positionField: 6,
    texts: [1, 2, 3, 5],
    make: (random, homeserver) =>
      encode(wire.SetRejectedRequest, {
        homeserver: homeserver.name,
        roomId: random.chance(0.5) ? roomId(random) : "",
        eventId: eventId(random),
        rejected: random.chance(0.5),
        rejectedReason: homeserver.mark,
        asOf: random.chance(0.7) ? homeserver.position : undefined,
      }),
    position: (reply) => wire.SetRejectedResponse.decode(reply).position,
  },
  {
    path: `${SERVICE}/InvalidateEvents`,
    singularMessages: [],
    texts: [1, 2, 3],
    batchField: 3,
    make: (random, { name }) =>
      encode(wire.InvalidateEventsRequest, {
        homeserver: name,
        roomId: random.chance(0.5) ? roomId(random) : "",
        eventIds: eventIds(random, random.chance(0.02) ? 500 : 4),
      }),
  },
  {
    path: `${SERVICE}/PurgeRoom`,
    singularMessages: [],
    texts: [1, 2],
    make: (random, { name }) => encode(wire.PurgeRoomRequest, { homeserver: name, roomId: roomId(random) }),
  },
  {
    path: `${SERVICE}/PurgeHomeserver`,
    singularMessages: [],
    texts: [1],
    make: (random, { name }) =>
      encode(wire.PurgeHomeserverRequest, { homeserver: name, newEpoch: random.chance(0.1) }),
    position: (reply) => wire.PurgeHomeserverResponse.decode(reply).position,
  },
];

/** How often each of `UNARY_METHODS` is called: purges would leave nothing to read. */
const UNARY_WEIGHTS = [40, 15, 20, 8, 6, 6, 1, 0.2];

/** One of the unary methods of the cache. */
export function unaryMethod(random: Random): Method {
  const sum = UNARY_WEIGHTS.reduce((total, weight) => total + weight);
  let left = (random.u32() / 2 ** 32) * sum;
  for (const [index, weight] of UNARY_WEIGHTS.entries()) {
    left -= weight;
    if (left < 0) return UNARY_METHODS[index]!;
  }
  return GET_EVENTS;
}

export const GET_EVENTS_STREAM: Method = {
  path: `${SERVICE}/GetEventsStream`,
  singularMessages: [2],
  texts: [],
  make: (random, homeserver) => streamedRead(BigInt(random.u32()), readRequest(random, homeserver)),
};

export function streamedRead(requestId: bigint, request: wire.GetEventsRequest | undefined): Buffer {
  return encode(wire.GetEventsStreamRequest, { requestId, request });
}

/** A read that fails, while its stream goes on; now and then a read that ends the stream. */
export function invalidStreamedRead(requestId: bigint, random: Random, homeserver: Homeserver): Buffer {
  const read = readRequest(random, homeserver);
  const epoch = random.bytes(random.pick([0, 16, 17]));
  // Is in flight already, or will be.
  if (random.chance(0.05)) return streamedRead(requestId + 1n, read);
  const request = random.pick<wire.GetEventsRequest | undefined>([
    { ...read, minPosition: { epoch, sequence: 1n } },
    { ...read, homeserver: random.pick(["", "x".repeat(256)]) },
    { ...read, eventIds: ["", "$x".repeat(600)] },
    { ...read, eventIds: Array(501).fill("$x") },
    undefined,
  ]);
  return streamedRead(requestId, request);
}

export const SUBSCRIBE: Method = {
  path: `${SERVICE}/Subscribe`,
  singularMessages: [2],
  positionField: 2,
  texts: [1, 3],
  make: (random, { name, position }) =>
    encode(wire.SubscribeRequest, {
      homeserver: name,
      resumeAfter: random.chance(0.5) ? position : undefined,
      subscriber: "attacker",
    }),
};

/** Methods of other services on the same port. Their requests are short, and written by hand. */
export const FOREIGN_METHODS: readonly Method[] = [
  auxiliary("/grpc.health.v1.Health/Check", (random) => text(1, random.pick(["", "nothing.of.this.Name"]))),
  auxiliary("/grpc.health.v1.Health/Watch", () => text(1, "")),
  ...["v1", "v1alpha"].map((version) =>
    auxiliary(`/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`, (random) =>
      random.pick([
        text(7, "*"),
        text(4, "splitcache.v1.EventCacheService"),
        text(3, "splitcache/v1/event_cache_service.proto"),
        text(4, "no.such.Symbol"),
        Buffer.concat([text(7, "*"), text(4, "splitcache.v1.Position")]),
      ]),
    ),
  ),
];

/** A field with a text of 127 bytes at most. */
function text(field: number, value: string): Buffer {
  return Buffer.concat([Buffer.from([field * 8 + 2, Buffer.byteLength(value)]), Buffer.from(value)]);
}

function auxiliary(path: string, make: (random: Random) => Buffer): Method {
  return { path, singularMessages: [], texts: [1], make };
}

function encode<T>(type: { encode(message: T): { finish(): Uint8Array } }, message: T): Buffer {
  const bytes = type.encode(message).finish();
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
