import type { Command } from "commander";
import { addExamples } from "../client/client-command.js";
import type { CliIo } from "../io/cli-io.js";
import { addAdminCommand } from "./admin/admin-command.js";
import { connections } from "./admin/connections.js";
import { drain, undrain } from "./admin/drain.js";
import { homeservers } from "./admin/homeservers.js";
import { logLevel } from "./admin/log-level.js";
import { members } from "./admin/members.js";
import { positions } from "./admin/positions.js";
import { subscribers } from "./admin/subscribers.js";

/** In the order of the help. */
const COMMANDS = [homeservers, subscribers, connections, members, positions, logLevel, drain, undrain];

/** `admin …`: the commands of operators, over the sidecar's admin listener. */
export function registerAdmin(program: Command, io: CliIo): void {
  const group = program
    .command("admin")
    .summary("show what a sidecar does, and drain it")
    .description(
      "Commands for operators. The sidecar serves them where --admin-listen says, and else nowhere.",
    );
  addExamples(group, ["admin subscribers", "admin members -o json", "admin drain"]);
  for (const command of COMMANDS) addAdminCommand(group, io, command);
}
