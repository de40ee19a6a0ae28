import { AdminServiceService as Calls } from "../../../gen/splitcache/admin/v1/admin_service.js";
import { ExitCode } from "../../exit-code.js";
import { formatPairs } from "../../io/table.js";
import type { AdminCommand } from "./admin-command.js";

/** `admin drain`: takes the sidecar out of service. */
export const drain: AdminCommand = {
  name: "drain",
  summary: "take the sidecar out of service",
  description:
    "Takes the sidecar out of service and keeps its process and its caches: health reports NOT_SERVING, " +
    "subscribers are told to leave, and new calls are refused. Shows what is still under way. Repeat it to " +
    "see how that goes on; admin undrain takes it back.",
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
};

/** `admin undrain`: puts a drained sidecar back into service. */
export const undrain: AdminCommand = {
  name: "undrain",
  summary: "put a drained sidecar back into service",
  description: "Puts a drained sidecar back into service: it takes calls again, and health reports SERVING.",
  examples: ["admin undrain"],
  run: async ({ connection, print }) => {
    await connection.call(Calls.undrain, {});
    print([{ draining: false }], "in service\n");
    return ExitCode.done;
  },
};
