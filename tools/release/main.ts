import { execFileSync } from "node:child_process";
import { join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { dryRun, type ReleaseIo, ReleaseRefused, release, setVersion } from "./release.js";

/** The process of `npm run release`. Exits with 1 if it failed or was refused, 2 if it was called wrongly. */

const USAGE = `Usage: npm run release -- [options]

Releases the version of package.json: checks the commit, moves the notes of CHANGELOG.md to a part of their
own, builds the artefacts into dist-release, commits and tags. Pushes nothing.

  --dry-run            shows what a release would do and builds the artefacts; commits and tags nothing
  --set-version X.Y.Z  writes a version into package.json and all files that have a copy of it
  --help               shows this help

PYTHON names the interpreter that builds the wheel (python3).`;

const root = join(import.meta.dirname, "../../..");
const io: ReleaseIo = {
  root,
  today: () => new Date(),
  print: (line) => process.stdout.write(`${line}\n`),
  check: () => void execFileSync("npm", ["run", "check"], { cwd: root, stdio: "inherit" }),
};

try {
  await run();
} catch (failure) {
  const message = failure instanceof Error ? failure.message : String(failure);
  const lines = message
    .split("\n")
    .map((line) => (failure instanceof ReleaseRefused ? `refused: ${line}` : line));
  process.stderr.write(`${lines.join("\n")}\n`);
  process.exitCode = 1;
}

async function run(): Promise<void> {
  const options = readOptions();
  if (options === undefined) process.exitCode = 2;
  else if (options.help) io.print(USAGE);
  else if (options["set-version"] !== undefined) setVersion(io, options["set-version"]);
  else if (options["dry-run"]) await dryRun(io);
  else await release(io);
}

function readOptions() {
  try {
    const { values } = parseArgs({
      options: {
        "dry-run": { type: "boolean" },
        "set-version": { type: "string" },
        help: { type: "boolean" },
      },
    });
    if (values["dry-run"] && values["set-version"] !== undefined)
      throw new Error("--dry-run and --set-version exclude each other");
    return values;
  } catch (failure) {
    process.stderr.write(`${failure instanceof Error ? failure.message : failure}\n\n${USAGE}\n`);
    return undefined;
  }
}
