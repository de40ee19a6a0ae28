import process from "node:process";
import { Command, CommanderError } from "commander";
import { withoutSecrets } from "../../src/config/without-secrets.js";
import { registerReplay } from "./command.js";

/** The process of `npm run replay`. */

const EXIT_USAGE = 2;

const interrupted = new AbortController();
process.once("SIGINT", () => interrupted.abort());
const program = new Command("npm run")
  .configureOutput({ writeErr: (text) => process.stderr.write(withoutSecrets(text)) })
  .exitOverride();
registerReplay(program, {
  stdout: process.stdout,
  stderr: process.stderr,
  stdin: process.stdin,
  env: process.env,
  isTty: process.stderr.isTTY === true,
  columns: process.stdout.columns,
  signal: interrupted.signal,
  setExitCode: (code) => {
    process.exitCode = code;
  },
});
try {
  await program.parseAsync(["replay", ...process.argv.slice(2)], { from: "user" });
} catch (error) {
  if (!(error instanceof CommanderError)) throw error;
  process.exitCode = error.exitCode === 0 ? 0 : EXIT_USAGE;
}
