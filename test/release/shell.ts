import { spawnSync } from "node:child_process";

/** Runs a command and returns what it prints; a failure shows all of it. */
export function sh(cwd: string, command: string, env: Readonly<Record<string, string>> = {}): string {
  const options = { cwd, encoding: "utf8", env: { ...process.env, ...env } } as const;
  const { status, stdout, stderr } = spawnSync("bash", ["-euc", command], options);
  if (status !== 0) throw new Error(`${command}: exit code ${status}\n${stdout}${stderr}`);
  return stdout.trim();
}
