import { fromBinary } from "@bufbuild/protobuf";
import {
  type DescriptorProto,
  FieldDescriptorProto_Label,
  FieldDescriptorProto_Type,
  FileDescriptorSetSchema,
} from "@bufbuild/protobuf/wkt";
import { describe, expect, it } from "vitest";
import { descriptorSet } from "../../../../src/gen/descriptor-set.js";
import * as wire from "../../../../src/gen/splitcache/v1/event_cache_service.js";
import { serviceDefinition } from "../../../../src/rpc/handlers/service-definition.js";
import { isWellFormed, type MessageShape } from "../../../../src/rpc/wire/wire-shape.js";

const decodePut = serviceDefinition.putEvents.requestDeserialize;

const decodeRead = serviceDefinition.getEvents.requestDeserialize;

function accepts(hex: string): boolean {
  return decodeRead(Buffer.from(hex.replaceAll(" ", ""), "hex")).ok;
}

describe("the strict deserialiser", () => {
  it("refuses malformed messages", () => {
    expect(accepts("")).toBe(true);
    expect(accepts("0a 01 61")).toBe(true);
    expect(accepts("00")).toBe(false); // tag 0
    expect(accepts("0a 01 61 00")).toBe(false); // tag 0 after a field
    expect(accepts("0a 01 61 04")).toBe(false); // end of a group
    expect(accepts("0b 0c")).toBe(false); // a group
    expect(accepts("0e")).toBe(false); // no such wire type
    expect(accepts("0a 02 61")).toBe(false); // too short
    expect(accepts("0a ff ff ff ff ff 01")).toBe(false); // an endless length
    expect(accepts("0a ff ff ff ff 7f")).toBe(false); // a length beyond 32 bits
    expect(accepts("18 ff ff ff ff ff ff ff ff ff ff 01")).toBe(false); // an endless number
    expect(accepts("18")).toBe(false); // no number
    expect(accepts("22 03 10 ff ff")).toBe(false); // a number that ends behind its message
    expect(accepts("22 02 0a 01 0a 01 61")).toBe(false); // a field that overruns the message around it
    expect(accepts("ff ff ff ff 1f 01")).toBe(false); // a tag beyond 32 bits
  });

  it("skips fields that the contract does not know", () => {
    expect(accepts("f8 07 01")).toBe(true);
    expect(accepts("f9 07 00 00 00 00 00 00 00 00")).toBe(true);
    expect(accepts("f9 07 00 00 00 00 00 00 00")).toBe(false);
    expect(accepts("fd 07 00 00 00 00")).toBe(true);
    expect(accepts("fa 07 02 ff ff")).toBe(true);
  });

  it("refuses strings that are not UTF-8, and keeps a BOM and a real replacement character", () => {
    expect(accepts("0a 01 ff")).toBe(false);
    expect(accepts("0a 03 ed a0 80")).toBe(false); // half a surrogate pair
    expect(accepts("0a 02 c0 80")).toBe(false); // an overlong NUL
    expect(accepts("0a 04 24 ef bf bd")).toBe(true);
    const decoded = decodeRead(Buffer.from("0a04efbbbf24", "hex"));
    expect(decoded).toMatchObject({ ok: true, message: { homeserver: "\uFEFF$" } });
  });

  it.each(
    Object.values(serviceDefinition).map(({ path, requestDeserialize }) => ({ path, requestDeserialize })),
  )("knows the messages inside the request of $path", ({ path, requestDeserialize }) => {
    const nested = NESTED_FIELDS[path.split("/")[2] ?? ""] ?? [];
    for (let field = 1; field <= 10; field++) {
      // Two bytes that as a message would hold a string longer than themselves.
      const bytes = Buffer.from([(field << 3) | 2, 2, 0x0a, 0x05]);
      expect({ field, ok: requestDeserialize(bytes).ok }).toEqual({ field, ok: !nested.includes(field) });
    }
  });

  it("knows the messages inside those", () => {
    const overrun = "0a05";
    expect(decodePut(Buffer.from(`12043a02${overrun}`, "hex")).ok).toBe(false);
    const decodeStreamed = serviceDefinition.getEventsStream.requestDeserialize;
    expect(decodeStreamed(Buffer.from(`12042202${overrun}`, "hex")).ok).toBe(false);
  });
});

describe("the refusal of malformed requests", () => {
  const fields = (decoded: ReturnType<typeof decodePut> | ReturnType<typeof decodeRead>) =>
    decoded.ok ? [] : decoded.error.violations.map(({ field }) => field);

  it.each([
    ["homeserver", "0a 01 ff"],
    ["event_ids[1]", "12 01 24 12 01 ff"],
    ["event_ids[1]", "12 01 24 12 05 24"],
    ["min_position", "22 02 0a 05"],
    ["min_position", "22 01 00"],
    ["request", "00"],
    ["request", "0a 01 61 ff ff ff"],
    ["request", "f8 07"],
  ])("names the field %s of a read: %s", (field, hex) => {
    expect(fields(decodeRead(Buffer.from(hex.replaceAll(" ", ""), "hex")))).toEqual([field]);
  });

  it("names the field inside an event of a batch", () => {
    const bad = wire.PutEventsRequest.encode(
      wire.PutEventsRequest.create({
        homeserver: "h",
        events: ["$a", "$b"].map((eventId) => wire.CachedEvent.create({ eventId, roomId: "!r" })),
      }),
    ).finish();
    const bytes = Buffer.from(bad);
    bytes[bytes.lastIndexOf("!r")] = 0xff;
    expect(fields(decodePut(bytes))).toEqual(["events[1].room_id"]);
  });

  it.each(
    Object.values(serviceDefinition).map(({ path, requestDeserialize }) => ({ path, requestDeserialize })),
  )("knows the texts of $path", ({ path, requestDeserialize }) => {
    const found: string[] = [];
    for (let number = 1; number <= 10; number++) {
      const decoded = requestDeserialize(Buffer.from([(number << 3) | 2, 1, 0xff]));
      if (!decoded.ok) found.push(...decoded.error.violations.map(({ field }) => field));
    }
    const method = path.split("/")[2] ?? "";
    const isMessage = (field: string) => MESSAGE_NAMES.has(field.replace(/\[0\]$/, ""));
    expect(found.filter((field) => !isMessage(field))).toEqual(TEXT_FIELDS[method] ?? ["homeserver"]);
  });
});

describe("the walk over the wire form", () => {
  it("goes into the messages that the shape names, and no others", () => {
    const overrun = Buffer.from("12020a05", "hex");
    const holding = (message: MessageShape) => ({ 2: { name: "nested", isRepeated: false, message } });
    expect(isWellFormed(overrun, {})).toBe(true);
    expect(isWellFormed(overrun, holding({}))).toBe(false);
    expect(isWellFormed(Buffer.from("1204" + "12020a05", "hex"), holding({}))).toBe(true);
    expect(isWellFormed(Buffer.from("1204" + "12020a05", "hex"), holding(holding({})))).toBe(false);
  });
});

describe("a message that is not repeated and is given twice", () => {
  const cases = singularMessages();

  it("is a field of every request that has one, however deep", () => {
    expect(cases.map(({ method, field }) => `${method} ${field}`)).toEqual(
      expect.arrayContaining([
        "GetEvents min_position",
        "GetEventsStream request",
        "GetEventsStream request.min_position",
        "PutEvent event",
        "PutEvent event.redaction",
        "PutEvents events[0].redaction",
        "PutEvents as_of",
        "SetRedaction redaction",
        "Subscribe resume_after",
      ]),
    );
  });

  it.each(cases)("is refused: $method $field", ({ decode, once, twice, field }) => {
    expect(decode(once)).toMatchObject({ ok: true });
    expect(decode(twice)).toMatchObject({
      ok: false,
      error: { kind: "invalidArgument", violations: [{ field, description: REPEATED }] },
    });
  });

  it("is no fault of a repeated message, of a text, or of the same field in two messages", () => {
    const redacted = { redaction: { redactedBy: "$r", redactedBody: Buffer.alloc(0) } };
    const events = [wire.CachedEvent.create(redacted), wire.CachedEvent.create(redacted)];
    const request = wire.PutEventsRequest.create({ homeserver: "a", events });
    const bytes = Buffer.from(wire.PutEventsRequest.encode(request).finish());
    expect(decodePut(bytes)).toMatchObject({ ok: true, message: request });
    expect(accepts("0a 01 61 0a 01 62")).toBe(true);
  });
});

/** The fields of each request that are messages. */
const NESTED_FIELDS: Readonly<Record<string, readonly number[]>> = {
  GetEvents: [4],
  GetEventsStream: [2],
  PutEvent: [2, 3],
  PutEvents: [2, 3],
  SetRedaction: [4, 5],
  SetRejected: [6],
  Subscribe: [2],
};

const REPEATED = "is a message field that occurs more than once";

interface SingularMessage {
  readonly method: string;
  readonly field: string;
  readonly decode: (bytes: Buffer) => unknown;
  /** A request that holds the message once, empty, and a request that holds it twice. */
  readonly once: Buffer;
  readonly twice: Buffer;
}

/** Every message field that is not repeated, in the requests of the contract, from its descriptors. */
function singularMessages(): SingularMessage[] {
  const { file } = fromBinary(FileDescriptorSetSchema, Buffer.from(descriptorSet, "base64"));
  const types = new Map<string, DescriptorProto>(
    file.flatMap((one) => one.messageType.map((type) => [`.${one.package}.${type.name}`, type] as const)),
  );
  const inside = (typeName: string, path: string, wrap: (content: Buffer) => Buffer) =>
    (types.get(typeName)?.field ?? []).flatMap((field): Omit<SingularMessage, "method" | "decode">[] => {
      if (field.type !== FieldDescriptorProto_Type.MESSAGE) return [];
      const isRepeated = field.label === FieldDescriptorProto_Label.REPEATED;
      const name = `${path}${field.name}${isRepeated ? "[0]" : ""}`;
      const given = (content: Buffer) =>
        Buffer.concat([Buffer.from([(field.number << 3) | 2, content.byteLength]), content]);
      const nothing = given(Buffer.alloc(0));
      const own = { field: name, once: wrap(nothing), twice: wrap(Buffer.concat([nothing, nothing])) };
      const nested = inside(field.typeName, `${name}.`, (content) => wrap(given(content)));
      return isRepeated ? nested : [own, ...nested];
    });
  const services = file.flatMap(({ service }) => service).filter(({ name }) => name === "EventCacheService");
  const methods = services.flatMap(({ method }) => method);
  return methods.flatMap(({ name, inputType }) => {
    const definition = Object.values(serviceDefinition).find(({ path }) => path.endsWith(`/${name}`));
    const decode = definition?.requestDeserialize;
    if (decode === undefined) throw new Error(`no decoder of ${name}`);
    return inside(inputType, "", (content) => content).map((one) => ({ ...one, method: name, decode }));
  });
}

const MESSAGE_NAMES = new Set([
  "min_position",
  "request",
  "event",
  "events",
  "as_of",
  "redaction",
  "resume_after",
]);

/** The fields of each request that are texts, where that is not the homeserver alone. */
const TEXT_FIELDS: Readonly<Record<string, readonly string[]>> = {
  GetEvents: ["homeserver", "event_ids[0]"],
  GetEventsStream: [],
  SetRedaction: ["homeserver", "room_id", "event_id"],
  SetRejected: ["homeserver", "room_id", "event_id", "rejected_reason"],
  InvalidateEvents: ["homeserver", "room_id", "event_ids[0]"],
  PurgeRoom: ["homeserver", "room_id"],
  Subscribe: ["homeserver", "subscriber"],
};
