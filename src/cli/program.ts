import type { Command } from "commander";
import { addCommand, addGroup } from "./command.js";
import { ADMIN, ADMIN_COMMANDS } from "./commands/admin.js";
import { doctor } from "./commands/doctor.js";
import { exitCodes } from "./commands/exit-codes.js";
import { get } from "./commands/get.js";
import { health } from "./commands/health.js";
import { invalidate } from "./commands/invalidate.js";
import { logSchema } from "./commands/log-schema.js";
import { purgeHomeserver } from "./commands/purge-homeserver.js";
import { purgeRoom } from "./commands/purge-room.js";
import { put } from "./commands/put.js";
import { redact } from "./commands/redact.js";
import { reject } from "./commands/reject.js";
import { stats } from "./commands/stats.js";
import { top } from "./commands/top.js";
import { wait } from "./commands/wait.js";
import { watch } from "./commands/watch.js";
import type { CliIo } from "./io/cli-io.js";

/** In the order of the help. */
const COMMANDS = [
  ...[get, put, redact, reject, invalidate, purgeRoom, purgeHomeserver, watch],
  ...[stats, top, doctor, health, wait, logSchema, exitCodes],
];

/**
 * Adds every client command to a program. Errors in the arguments are left to the
 * program's own error handling.
 */
export function addClientCommands(program: Command, io: CliIo): void {
  for (const command of COMMANDS) addCommand(program, io, command);
  addGroup(program, io, ADMIN, ADMIN_COMMANDS);
}
