import { expect, it } from "vitest";
import type { EventId, Homeserver } from "../../../../src/core/model/types.js";
import { KeyNames } from "../../../../src/tier/redis/keys.js";

it("names differ for every homeserver and event, colons or not", () => {
  const names = new KeyNames("test");
  const nameOf = (homeserver: string, eventId: string) =>
    names.metadata(homeserver as Homeserver, eventId as EventId);
  expect(nameOf("a.example:8448", "$1")).not.toBe(nameOf("a.example", "8448:$1"));
  expect(nameOf("é", "$1")).toBe("test:m:2:é:$1");
});
