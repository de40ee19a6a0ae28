import { execFile } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { userInfo } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** Where the server's programs are: of the newest version, as Debian installs them. */
export const PROGRAMS = process.env["POSTGRES_BIN"] ?? newestPrograms();

/** Whether this machine has PostgreSQL; without one, its tests are skipped (in CI they fail). */
export function hasPostgres(): boolean {
  return process.env["CI"] === "true" || existsSync(join(PROGRAMS, "postgres"));
}

/** PostgreSQL refuses to run as root. */
export const ACCOUNT =
  userInfo().uid === 0 ? { uid: idOf("postgres", 2), gid: idOf("postgres", 3) } : undefined;

export async function runAs(program: string, args: readonly string[]): Promise<void> {
  await run(program, args, { cwd: "/", ...ACCOUNT });
}

function newestPrograms(): string {
  const root = "/usr/lib/postgresql";
  const versions = existsSync(root) ? readdirSync(root).map(Number).filter(Number.isFinite) : [];
  return join(root, String(Math.max(0, ...versions)), "bin");
}

function idOf(account: string, column: number): number {
  const line = readLines("/etc/passwd").find((text) => text.startsWith(`${account}:`));
  return Number(line?.split(":")[column] ?? 65_534);
}

export function readLines(path: string): readonly string[] {
  try {
    return readFileSync(path, "utf8").split("\n");
  } catch {
    return [];
  }
}
