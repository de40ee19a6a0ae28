import { randomBytes } from "node:crypto";
import { describe, expect, it } from "vitest";
import type { Epoch, EventId, Homeserver, RoomId } from "../../../../src/core/model/types.js";
import { decodeBody, encodeBody, referenceTo } from "../../../../src/tier/redis/body.js";
import { type Metadata, MetadataCodec } from "../../../../src/tier/redis/metadata.js";

const ALPHA = "alpha.example" as Homeserver;
const BETA = "beta.example" as Homeserver;
const NAME = "splitcache:m:alpha.example:$event";
const codec = new MetadataCodec(Buffer.alloc(32, 1));

const FULL: Metadata = {
  asOf: { epoch: randomBytes(16).toString("hex") as Epoch, sequence: Number.MAX_SAFE_INTEGER },
  expiresAtMs: 4_102_444_800_123,
  body: { digest: randomBytes(32), size: 256 * 1024 + 1055 },
  redactedBody: { digest: randomBytes(32), size: 1 },
  rejected: true,
  rejectedReason: "für ✗".repeat(100),
  redactedBy: "r".repeat(1020) as EventId,
  internalMetadata: randomBytes(16 * 1024),
};
const LEAST: Metadata = {
  ...FULL,
  asOf: { ...FULL.asOf, sequence: 0 },
  redactedBody: undefined,
  rejected: false,
  rejectedReason: "",
  redactedBy: undefined,
  internalMetadata: Buffer.alloc(0),
};

describe("metadata in the tier", () => {
  it.each([
    ["all that it may have", FULL],
    ["nothing that it need not have", LEAST],
    ["a redaction without a body", { ...FULL, redactedBody: undefined }],
  ])("comes back with %s", (_, metadata) => {
    expect(codec.decode(ALPHA, NAME, codec.encode(ALPHA, NAME, metadata))).toEqual(metadata);
  });

  it("is refused with any bit altered, cut anywhere, or longer", () => {
    const value = codec.encode(ALPHA, NAME, LEAST);
    for (let at = 0; at < value.length; at++) {
      const altered = Buffer.from(value);
      altered[at]! ^= 1 << (at % 8);
      expect(codec.decode(ALPHA, NAME, altered)).toBe(at === 0 ? "version" : "forged");
      expect(codec.decode(ALPHA, NAME, value.subarray(0, at))).toBe(at === 0 ? "version" : "forged");
    }
    expect(codec.decode(ALPHA, NAME, Buffer.concat([value, value]))).toBe("forged");
  });

  it("is refused under another name, for another homeserver, with another secret", () => {
    const value = codec.encode(ALPHA, NAME, FULL);
    expect(codec.decode(ALPHA, `${NAME}2`, value)).toBe("forged");
    expect(codec.decode(BETA, NAME, value)).toBe("forged");
    expect(new MetadataCodec(Buffer.alloc(32, 2)).decode(ALPHA, NAME, value)).toBe("forged");
    expect(new MetadataCodec(Buffer.alloc(32, 1)).decode(ALPHA, NAME, value)).toEqual(FULL);
  });

  it("does not take bytes of the value for a part of the name", () => {
    const value = codec.encode(ALPHA, NAME, FULL);
    const shifted = Buffer.concat([value.subarray(0, 17), Buffer.from("x"), value.subarray(17)]);
    expect(codec.decode(ALPHA, NAME.slice(0, -1), shifted)).toBe("forged");
  });
});

describe("a body in the tier", () => {
  const body = { roomId: "!ünï:example" as RoomId, roomVersion: "org.example.v1", body: Buffer.from("{}") };

  it("comes back, and not from other bytes", () => {
    const value = encodeBody(body);
    const reference = referenceTo(value);
    expect(decodeBody(value, reference)).toEqual(body);
    expect(decodeBody(value.subarray(0, -1), reference)).toBe("damaged");
    for (let at = 0; at < value.length; at++) {
      const altered = Buffer.from(value);
      altered[at]! ^= 128;
      expect(decodeBody(altered, reference)).toBe("damaged");
    }
  });

  it("of another version is not read, though its digest is right", () => {
    const value = encodeBody(body);
    value[0] = 2;
    expect(decodeBody(value, referenceTo(value))).toBe("version");
  });

  it("is another one in another room or another room version", () => {
    const others = [{ ...body, roomId: "!other:example" as RoomId }, { ...body, roomVersion: "11" }, body];
    const names = others.map((one) => referenceTo(encodeBody(one)).digest.toString("hex"));
    expect(new Set(names)).toHaveProperty("size", 3);
  });
});
