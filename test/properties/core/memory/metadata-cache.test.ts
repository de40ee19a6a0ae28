import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { HomeserverMetadata } from "../../../../src/core/memory/metadata-cache.js";
import type { EventState } from "../../../../src/core/model/types.js";
import { newCaches, putBoth } from "../../../support/core/parts.js";
import { eventId, roomId } from "../../../support/store/store-harness.js";

const NOTHING = { entries: 0, bytes: 0, heapBytes: 0 };

const rejected: EventState = { rejected: true, rejectedReason: "auth", redaction: undefined };

describe("MetadataCache", () => {
  it("leaves no byte, room or reference behind after any operations", () => {
    const step = fc.record({
      act: fc.constantFrom("put", "put", "put", "drop", "set", "purge", "touch"),
      id: fc.nat(5),
      room: fc.nat(2),
      owner: fc.nat(1),
      text: fc.nat(1),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const caches = newCaches({ events: { entriesMax: 6 }, metadata: { entriesMax: 7 } });
        const { metadata, events } = caches;
        const owners = [new HomeserverMetadata(), new HomeserverMetadata()];
        for (const { act, id, room, owner: which, text } of steps) {
          const owner = owners[which]!;
          const inRoom = roomId(`!${room}`);
          const entry = owner.entries.get(eventId(`$${id}`));
          if (act === "put") putBoth(caches, owner, `$${id}`, { roomId: inRoom, text: `${text}` });
          else if (act === "purge") metadata.purgeRoom(owner, inRoom);
          else if (entry !== undefined && act === "drop") metadata.drop(entry);
          else if (entry !== undefined && act === "set") metadata.setState(entry, rejected);
          else if (entry !== undefined && act === "touch") metadata.touch(entry);
          const held = owners.flatMap((one) => [...one.entries.values()]);
          expect(metadata.stats().entries).toBe(held.length);
          const alive = new Set(
            held.map(({ variant }) => variant).filter(({ range }) => range !== undefined),
          );
          expect(events.stats().entries).toBe(alive.size);
          for (const variant of alive) {
            expect(variant.references).toBe(held.filter((one) => one.variant === variant).length);
          }
          for (const { rooms } of owners) {
            for (const one of rooms.values()) {
              expect(one.entries).toBe(held.filter((entry) => entry.room === one).length);
            }
          }
        }
        for (const owner of owners) for (const entry of [...owner.entries.values()]) metadata.drop(entry);
        expect(metadata.stats()).toMatchObject(NOTHING);
        expect(events.stats()).toMatchObject(NOTHING);
        expect(owners.map(({ rooms }) => rooms.size)).toEqual([0, 0]);
      }),
    );
  });
});
