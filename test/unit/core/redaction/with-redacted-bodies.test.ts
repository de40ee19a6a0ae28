import { describe, expect, it } from "vitest";
import { withRedactedBodies } from "../../../../src/core/redaction/with-redacted-bodies.js";
import { eventId, messageEvent } from "../../../support/store/store-harness.js";

const unmade = { redactedBy: eventId("$r"), redactedBody: undefined };

function pacing() {
  let nowMs = 0;
  let turns = 0;
  return {
    clock: () => nowMs++,
    inTurn: async (step: () => void) => {
      turns += 1;
      step();
    },
    get turns() {
      return turns;
    },
  };
}

describe("withRedactedBodies", () => {
  it("makes the redacted bodies that are needed and leaves everything else alone", async () => {
    const given = { redactedBy: eventId("$r"), redactedBody: Buffer.from("{}") };
    const events = [
      messageEvent("$plain"),
      messageEvent("$given", { redaction: given }),
      messageEvent("$made", { redaction: unmade }),
      messageEvent("$cannot", { redaction: unmade, roomVersion: "unknown" }),
    ];
    const [plain, kept, made, cannot] = await withRedactedBodies(events, pacing());
    expect([plain, kept]).toEqual(events.slice(0, 2));
    expect(JSON.parse(Buffer.from(made!.redaction!.redactedBody!).toString())).toMatchObject({ content: {} });
    expect(made!.redaction!.redactedBy).toBe("$r");
    expect(cannot!.redaction).toEqual(unmade);
  });

  it("lets others have a turn when its slice is over", async () => {
    const paced = pacing();
    await withRedactedBodies(
      Array.from({ length: 30 }, (_, n) => messageEvent(`$${n}`, { redaction: unmade })),
      paced,
    );
    expect(paced.turns).toBeGreaterThanOrEqual(9);
  });

  it("takes no time for events that need nothing", async () => {
    const paced = pacing();
    const events = [messageEvent("$a"), messageEvent("$b")];
    expect(await withRedactedBodies(events, paced)).toBe(events);
    expect(paced.clock()).toBe(0);
  });
});
