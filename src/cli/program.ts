import type { Command } from "commander";
import { checkArguments } from "./client/check-arguments.js";
import { registerAdmin } from "./commands/admin.js";
import { registerGet } from "./commands/get.js";
import { registerHealth } from "./commands/health.js";
import { registerInvalidate } from "./commands/invalidate.js";
import { registerLogSchema } from "./commands/log-schema.js";
import { registerPurgeHomeserver } from "./commands/purge-homeserver.js";
import { registerPurgeRoom } from "./commands/purge-room.js";
import { registerPut } from "./commands/put.js";
import { registerRedact } from "./commands/redact.js";
import { registerReject } from "./commands/reject.js";
import { registerStats } from "./commands/stats.js";
import { registerWait } from "./commands/wait.js";
import { registerWatch } from "./commands/watch.js";
import type { CliIo } from "./io/cli-io.js";

/**
 * Adds every client command to a program. A command sets the exit code and
 * reports its failure itself; only what commander finds wrong with the arguments
 * is left to the program's own error handling.
 */
export function registerClientCommands(program: Command, io: CliIo): void {
  program.hook("preAction", (_program, command) => checkArguments(command));
  for (const register of COMMANDS) register(program, io);
}

/** In the order of the help. */
const COMMANDS = [
  registerGet,
  registerPut,
  registerRedact,
  registerReject,
  registerInvalidate,
  registerPurgeRoom,
  registerPurgeHomeserver,
  registerWatch,
  registerStats,
  registerHealth,
  registerWait,
  registerLogSchema,
  registerAdmin,
];
