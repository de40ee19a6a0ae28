import { join } from "node:path";
import process from "node:process";
import { describeFailure } from "../../src/cli/client/describe-failure.js";
import { runDemo } from "./demo.js";

/** The process of `npm run demo`: exits with 1 if anything was not as it must be. */

const interrupted = new AbortController();
process.once("SIGINT", () => interrupted.abort());
try {
  const isRight = await runDemo({
    sampleDir: join(import.meta.dirname, "../../../demo"),
    print: (text) => process.stdout.write(`${text}\n`),
    signal: interrupted.signal,
  });
  process.exitCode = isRight ? 0 : 1;
} catch (failure) {
  const { message, exitCode } = describeFailure(failure, "the demo's own address");
  process.stderr.write(`demo: ${message}\n`);
  process.exitCode = exitCode;
}
