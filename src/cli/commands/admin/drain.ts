import { AdminServiceService as Calls } from "../../../gen/splitcache/admin/v1/admin_service.js";
import { adminCommand } from "../../command.js";
import { ExitCode } from "../../exit-code.js";
import { formatPairs } from "../../io/text.js";

/** `admin drain`: takes the sidecar out of service. */
export const drain = adminCommand({
  name: "drain",
  summary: "Takes the sidecar out of service",
  description:
    "Takes the sidecar out of service and keeps its process and its caches: health reports NOT_SERVING, " +
    "subscribers receive GoingAway, and new calls are refused. Shows the calls that are still in flight; " +
    "repeat the command to follow them. admin undrain puts the sidecar back into service.",
  flags: {},
  examples: ["admin drain", "admin drain -o json"],
  run: async ({ connection, print }) => {
    const { calls, readStreams, subscribers } = await connection.call(Calls.drain, {});
    const pairs = [
      ["calls", calls],
      ["read streams", readStreams],
      ["subscribers", subscribers],
    ] as const;
    print([{ calls, readStreams, subscribers }], formatPairs(pairs));
    return ExitCode.done;
  },
});

/** `admin undrain`: puts a drained sidecar back into service. */
export const undrain = adminCommand({
  name: "undrain",
  summary: "Puts a drained sidecar back into service",
  description: "Puts a drained sidecar back into service: it takes calls again, and health reports SERVING.",
  flags: {},
  examples: ["admin undrain"],
  run: async ({ connection, print }) => {
    await connection.call(Calls.undrain, {});
    print([{ draining: false }], "in service\n");
    return ExitCode.done;
  },
});
