import { type ChildProcessByStdio, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { copyFile, cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { devNull } from "node:os";
import { dirname, join } from "node:path";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

/** The program as users run it, built from the sources of now. */
export interface Program {
  /** The folder of the built modules; `main.js` is the program. */
  readonly dist: string;
  /** Runs it to its end. */
  run(args: readonly string[], env?: Readonly<Record<string, string>>): Promise<ProgramEnd>;
  /** Starts it; kill what is left of it at the end of the test. */
  start(args: readonly string[], limits?: ProgramLimits): RunningProgram;
  /** Removes the build. */
  remove(): Promise<void>;
}

export interface ProgramLimits {
  /** File descriptors that it may have; what the test has unless given. */
  readonly openFilesMax?: number;
  /** Descriptors that are open in it from the start. */
  readonly inheritedFiles?: number;
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

const ROOT = fileURLToPath(new URL("../../..", import.meta.url));

/** Builds it inside node_modules, where it finds its dependencies and nobody finds it by accident. */
export async function buildProgram(): Promise<Program> {
  const folder = await mkdtemp(join(ROOT, "node_modules", ".splitcache-test-"));
  const compiler = join(ROOT, "node_modules", "typescript", "bin", "tsc");
  const args = ["-p", "tsconfig.build.json", "--noCheck", "--outDir", join(folder, "dist")];
  await promisify(execFile)(process.execPath, [compiler, ...args], { cwd: ROOT });
  await copyFile(join(ROOT, "package.json"), join(folder, "package.json"));
  return programIn(folder);
}

/** What stands in a built module, and what is put in its place. */
export type Alteration = readonly [module: string, found: string, put: string];

/** A copy of a program that differs in some places, as another version of it would. */
export async function alterProgram({ dist }: Program, alterations: readonly Alteration[]): Promise<Program> {
  const folder = await mkdtemp(join(ROOT, "node_modules", ".splitcache-test-"));
  await cp(dirname(dist), folder, { recursive: true });
  for (const [module, found, put] of alterations) {
    const path = join(folder, "dist", module);
    const parts = (await readFile(path, "utf8")).split(found);
    if (parts.length !== 2) throw new Error(`${module} does not have once: ${found}`);
    await writeFile(path, parts.join(put));
  }
  return programIn(folder);
}

function programIn(folder: string): Program {
  const dist = join(folder, "dist");
  const main = join(dist, "main.js");
  return {
    dist,
    run: (args, env = {}) => spawnProgram([main, ...args], env).end,
    start: (args, limits = {}) => spawnProgram([main, ...args], {}, limits),
    remove: () => rm(folder, { recursive: true }),
  };
}

function spawnProgram(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  { openFilesMax, inheritedFiles = 0 }: ProgramLimits = {},
): RunningProgram {
  const limited = ["/bin/sh", "-c", `ulimit -n ${openFilesMax}; exec "$0" "$@"`];
  const [command = "", ...words] = [
    ...(openFilesMax === undefined ? [] : limited),
    process.execPath,
    ...args,
  ];
  const file = openSync(devNull, "r");
  const inherited = Array<number>(inheritedFiles).fill(file);
  const stdio = ["ignore", "pipe", "pipe", ...inherited] as ["ignore", "pipe", "pipe", ...number[]];
  const child = spawn(command, words, { env, stdio }) as ChildProcessByStdio<null, Readable, Readable>;
  closeSync(file);
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
