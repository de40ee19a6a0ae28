import { servingStatus } from "../client/calls.js";
import { probeCommand } from "../command.js";
import { ExitCode } from "../exit-code.js";
import { text } from "../flags.js";

/** `health`: asks grpc.health.v1; an exec probe. */
export const health = probeCommand({
  name: "health",
  summary: "Asks whether the sidecar serves",
  description:
    "Asks the sidecar's health service. Exits with 0 if it serves, 1 if not, 4 if nothing answers.",
  flags: {
    service: text("<name>", "Names the gRPC service to ask about.", {
      note: "default: the sidecar as a whole",
    }),
  },
  examples: ["health", "health --address unix:/run/splitcache/splitcache.sock --timeout 1s"],
  run: async ({ connection, flags, print }) => {
    const status = await servingStatus(connection, flags.service ?? "");
    print([{ status }], `${status}\n`);
    return status === "SERVING" ? ExitCode.done : ExitCode.failure;
  },
});
