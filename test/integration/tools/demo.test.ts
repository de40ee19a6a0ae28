import { join } from "node:path";
import { expect, it } from "vitest";
import { runDemo } from "../../../tools/demo/demo.js";

it("the demo replays its trace, prints the changes, and finds every reply correct", async () => {
  let output = "";
  const isCorrect = await runDemo({
    sampleDir: join(import.meta.dirname, "../../../demo"),
    print: (text) => {
      output += `${text}\n`;
    },
    signal: new AbortController().signal,
  });
  expect(output).toMatch(/^redaction: \$\S+ by \$\S+\n {2}before {2}.*\n {2}after {3}.*, redacted$/m);
  expect(output).toMatch(/^rejection: \$\S+\n {2}before {2}.*\n {2}after {3}.*, rejected \(auth_error\)$/m);
  expect(output).toMatch(/^room purged: .*\n.* [1-9]\d* of 83 events served\n.* 0 of 83 events served$/m);
  expect(output).toContain("every sequence number once, in order");
  expect(output).toContain("Every reply matched the recorded homeserver's database.");
  expect(isCorrect).toBe(true);
});
