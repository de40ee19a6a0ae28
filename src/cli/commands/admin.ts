import { connections } from "./admin/connections.js";
import { drain, undrain } from "./admin/drain.js";
import { homeservers } from "./admin/homeservers.js";
import { logLevel } from "./admin/log-level.js";
import { members } from "./admin/members.js";
import { positions } from "./admin/positions.js";
import { subscribers } from "./admin/subscribers.js";

/** `admin …`: the commands of operators, over the sidecar's admin listener. */
export const ADMIN = {
  name: "admin",
  summary: "Shows the state of a sidecar, and drains it",
  description: "Groups the commands for operators. They require a sidecar with --admin-listen.",
  examples: ["admin subscribers", "admin members -o json", "admin drain"],
};

/** In the order of the help. */
export const ADMIN_COMMANDS = [
  ...[homeservers, subscribers, connections, members, positions],
  ...[logLevel, drain, undrain],
];
