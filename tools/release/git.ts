import { execFileSync } from "node:child_process";

/** Runs Git in one repository and returns what it prints, without the last line break. */
export type Git = (args: readonly string[], options?: GitOptions) => string;

export interface GitOptions {
  readonly input?: string;
  readonly env?: Readonly<Record<string, string>>;
}

const OUTPUT_BYTES_MAX = 2 ** 24;

export function gitIn(root: string): Git {
  return (args, { input, env } = {}) =>
    execFileSync("git", args, {
      cwd: root,
      encoding: "utf8",
      maxBuffer: OUTPUT_BYTES_MAX,
      env: { ...process.env, ...env },
      stdio: [input === undefined ? "ignore" : "pipe", "pipe", "pipe"],
      ...(input === undefined ? {} : { input }),
    }).replace(/\n$/, "");
}

/** The lines of an output; none if it is empty. */
export function linesOf(output: string): string[] {
  return output === "" ? [] : output.split("\n");
}
