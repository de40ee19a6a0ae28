import { join } from "node:path";
import process from "node:process";
import { describeFailure } from "../../src/cli/client/describe-failure.js";
import { runDemo } from "./demo.js";

/** The process of `npm run demo`. Exits with 1 if a reply or a notice was wrong. */

const interrupted = new AbortController();
process.once("SIGINT", () => interrupted.abort());
try {
  const isCorrect = await runDemo({
    sampleDir: join(import.meta.dirname, "../../../demo"),
    print: (text) => process.stdout.write(`${text}\n`),
    signal: interrupted.signal,
  });
  process.exitCode = isCorrect ? 0 : 1;
} catch (failure) {
  const { message, exitCode } = describeFailure(failure, "the demo's own address");
  process.stderr.write(`demo: ${message}\n`);
  process.exitCode = exitCode;
}
