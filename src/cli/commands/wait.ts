import { formatDuration } from "../../config/duration.js";
import { abortableDelay } from "../client/abort.js";
import { servingStatus } from "../client/calls.js";
import type { SidecarConnection } from "../client/connection.js";
import { isUnavailable } from "../client/describe-failure.js";
import { probeCommand } from "../command.js";
import { CliError, ExitCode } from "../exit-code.js";
import { duration } from "../flags.js";

const ATTEMPT_INTERVAL_MS = 100;
/** A sidecar that accepts a call and does not answer must not use up the whole time. */
const ATTEMPT_MS_MAX = 1000;

/** `wait`: until the sidecar serves. */
export const wait = probeCommand({
  name: "wait",
  summary: "Waits until the sidecar serves",
  description: "Waits until the sidecar serves. Exits with 4 if it does not become ready in time.",
  flags: { timeout: duration("Limits how long to wait.", "30s") },
  examples: ["wait --timeout 1m && splitcache put -H example.org events.jsonl"],
  run: async ({ connection, flags, print }) => {
    await untilServing(connection, flags.timeout);
    print([{ status: "SERVING" }], "");
    return ExitCode.done;
  },
});

async function untilServing(connection: SidecarConnection, timeoutMs: number): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!connection.signal.aborted) {
    const limitMs = Math.min(ATTEMPT_MS_MAX, Math.max(deadline - performance.now(), 1));
    const status = await servingStatus(connection, "", limitMs).catch((failure: unknown) => {
      if (!isUnavailable(failure)) throw failure;
    });
    if (status === "SERVING") return;
    if (performance.now() >= deadline) {
      const reported = status === undefined ? "" : ` (it reports ${status})`;
      const problem = `did not become ready within ${formatDuration(timeoutMs)}${reported}`;
      throw new CliError(ExitCode.unavailable, `${connection.address} ${problem}`);
    }
    await abortableDelay(ATTEMPT_INTERVAL_MS, connection.signal);
  }
  throw new CliError(ExitCode.interrupted, "interrupted");
}
