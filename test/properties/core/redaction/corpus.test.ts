import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { redactEvent } from "../../../../src/core/redaction/redaction.js";
import { canonicalJson, parseJson } from "../../../support/canonical-json.js";
import { readJsonLines, sharedDataDir } from "../../../support/shared-data.js";

/** An event as Synapse stored it, and as Synapse pruned it; rooms of versions 1 to 10. */
interface PrunedEvent {
  readonly room_version: string;
  readonly json: string;
  readonly pruned_json: string;
}

const SAMPLE = join(import.meta.dirname, "../../../fixtures/redaction/corpus-sample.jsonl");
const sharedData = sharedDataDir();

describe("events that Synapse pruned", () => {
  it("are redacted to the same, in a sample of all types and room versions with rules", async () => {
    expect(await expectAllAsPruned(SAMPLE)).toBe(40);
  });

  it.skipIf(sharedData === undefined)(
    "are redacted to the same, in the whole corpus (needs SPLITCACHE_DATA or ../shared/data)",
    async () => {
      expect(await expectAllAsPruned(join(sharedData!, "events.jsonl.gz"))).toBeGreaterThan(19_000);
    },
    120_000,
  );
});

async function expectAllAsPruned(path: string): Promise<number> {
  const wrong: PrunedEvent[] = [];
  let count = 0;
  for await (const event of readJsonLines<PrunedEvent>(path)) {
    if (!isAsPruned(event)) wrong.push(event);
    count++;
  }
  expect(wrong).toEqual([]);
  return count;
}

function isAsPruned(event: PrunedEvent): boolean {
  const redacted = redactEvent(Buffer.from(event.json), event.room_version);
  const again = redacted && redactEvent(redacted, event.room_version);
  return (
    redacted !== undefined &&
    again?.equals(redacted) === true &&
    canonicalJson(parseJson(redacted.toString())) === withoutUnsigned(event.pruned_json)
  );
}

/** Canonical JSON. Synapse keeps two members of `unsigned`; the specification keeps none of it. */
function withoutUnsigned(json: string): string {
  const event = parseJson(json);
  if (event instanceof Map) event.delete("unsigned");
  return canonicalJson(event);
}
