import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { copyFile, mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

/** The program as users run it, built from the sources of now. */
export interface Program {
  /** The folder of the built modules; `main.js` is the program. */
  readonly dist: string;
  /** Runs it to its end. */
  run(args: readonly string[], env?: Readonly<Record<string, string>>): Promise<ProgramEnd>;
  /** Starts it; kill what is left of it at the end of the test. */
  start(args: readonly string[]): RunningProgram;
  /** Removes the build. */
  remove(): Promise<void>;
}

export interface ProgramEnd {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunningProgram {
  readonly pid: number;
  /** Resolves to the first line of standard error with this text; rejects if the process ends first. */
  logLine(text: string): Promise<string>;
  kill(signal: NodeJS.Signals): void;
  readonly end: Promise<ProgramEnd>;
}

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** Builds it inside node_modules, where it finds its dependencies and nobody finds it by accident. */
export async function buildProgram(): Promise<Program> {
  const folder = await mkdtemp(join(ROOT, "node_modules", ".splitcache-test-"));
  const compiler = join(ROOT, "node_modules", "typescript", "bin", "tsc");
  const args = ["-p", "tsconfig.build.json", "--noCheck", "--outDir", join(folder, "dist")];
  await promisify(execFile)(process.execPath, [compiler, ...args], { cwd: ROOT });
  await copyFile(join(ROOT, "package.json"), join(folder, "package.json"));
  const dist = join(folder, "dist");
  const main = join(dist, "main.js");
  return {
    dist,
    run: (args, env = {}) => spawnProgram([main, ...args], env).end,
    start: (args) => spawnProgram([main, ...args], {}),
    remove: () => rm(folder, { recursive: true }),
  };
}

function spawnProgram(args: readonly string[], env: Readonly<Record<string, string>>): RunningProgram {
  const child = spawn(process.execPath, args, { env, stdio: ["ignore", "pipe", "pipe"] });
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (text: Buffer) => {
    stdout += text;
  });
  child.stderr.on("data", (text: Buffer) => {
    stderr += text;
  });
  const end = once(child, "close").then(([code]): ProgramEnd => ({ code, stdout, stderr }));
  async function logLine(text: string): Promise<string> {
    for (;;) {
      const line = stderr
        .split("\n")
        .slice(0, -1)
        .find((line) => line.includes(text));
      if (line !== undefined) return line;
      if (child.exitCode !== null || child.signalCode !== null)
        throw new Error(`the program ended without "${text}": ${stderr}`);
      await Promise.race([once(child.stderr, "data"), end]);
    }
  }
  return { pid: child.pid ?? 0, logLine, end, kill: (signal) => void child.kill(signal) };
}
