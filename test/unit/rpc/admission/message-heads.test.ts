import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { MessageHeads } from "../../../../src/rpc/admission/message-heads.js";
import { framed } from "../../../support/server/raw-call.js";

describe("the heads of messages", () => {
  it("are found however the bytes are cut", () => {
    const messages = fc.array(fc.uint8Array({ maxLength: 400 }));
    const cuts = fc.infiniteStream(fc.integer({ min: 1, max: 90 }));
    fc.assert(
      fc.property(messages, cuts, (all, sizes) => {
        const bytes = Buffer.concat(all.map(framed));
        const heads = new MessageHeads();
        let [count, largest, at] = [0, 0, 0];
        while (at < bytes.byteLength) {
          const piece = bytes.subarray(at, at + sizes.next().value);
          at += piece.byteLength;
          const arrival = heads.read(piece);
          count += arrival.messages;
          largest = Math.max(largest, arrival.largestBytes);
          expect(arrival).toMatchObject({ bytes: piece.byteLength, isCompressed: false });
          expect(arrival.isInside).toBe(heads.isInside);
        }
        expect({ count, isInside: heads.isInside }).toEqual({ count: all.length, isInside: false });
        expect(largest).toBe(Math.max(0, ...all.map((one) => one.byteLength)));
      }),
    );
  });

  it("give the length of a message as soon as they are complete, and find its middle", () => {
    const heads = new MessageHeads();
    const bytes = framed(Buffer.alloc(0xffff));
    expect(heads.read(bytes.subarray(0, 2))).toMatchObject({ isMiddle: false, isInside: true });
    expect(heads.read(bytes.subarray(2, 4))).toMatchObject({ largestBytes: 0, isMiddle: true });
    expect(heads.read(bytes.subarray(4, 5))).toMatchObject({ largestBytes: 0xffff, isMiddle: true });
    expect(heads.read(bytes.subarray(5))).toMatchObject({ messages: 1, isMiddle: false, isInside: false });
  });

  it("say that a message is compressed", () => {
    const heads = new MessageHeads();
    expect(heads.read(Buffer.from([0, 0, 0, 0, 0, 1, 0]))).toMatchObject({ isCompressed: true, messages: 1 });
  });
});
