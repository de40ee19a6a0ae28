import type { TestServer } from "../server/start-server.js";
import { runCli } from "./run-cli.js";

/** Runs `splitcache doctor` and parses its findings. */
export async function findings(args: string[], server?: TestServer) {
  const env =
    server === undefined
      ? {}
      : { SPLITCACHE_ADDRESS: server.address, SPLITCACHE_HTTP: server.httpUrl.slice("http://".length) };
  const { code, stdout } = await runCli(["doctor", "-o", "json", ...args], { env });
  const found = stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  return { code, found, results: Object.fromEntries(found.map(({ check, result }) => [check, result])) };
}
