import { status } from "@grpc/grpc-js";
import { isLocal, parseListenAddress } from "../../config/address.js";
import { readVersion } from "../../process/version.js";
import { defaultHttpAddress, HTTP_ADDRESS_HELP, parseHttpAddress } from "../client/address.js";
import { askPosition, servingStatus } from "../client/calls.js";
import type { SidecarConnection } from "../client/connection.js";
import { describeFailure } from "../client/describe-failure.js";
import {
  callFinding,
  connectionFinding,
  type Finding,
  failed,
  ok,
  refusalFinding,
  skipped,
  warning,
} from "../client/diagnosis.js";
import { fetchPage } from "../client/fetch-page.js";
import { probeConnection, probeProtocol } from "../client/probe.js";
import { readStatus } from "../client/status.js";
import { probeTls, tlsFinding } from "../client/tls-probe.js";
import { sidecarCommand } from "../command.js";
import { ExitCode } from "../exit-code.js";
import { parsed, text } from "../flags.js";
import { formatTable, terminalText } from "../io/text.js";

/** `doctor`: what is wrong between a client and its sidecar, and what to do. */
export const doctor = sidecarCommand({
  name: "doctor",
  summary: "Checks the connection to the sidecar and says what is wrong",
  description:
    "Connects as a client would and checks address, TLS, protocol, credentials, service, log, tier, the homeserver, " +
    "latency, version and clock. Says for each what is wrong and what to do. Exits with 0 if no check failed, " +
    "1 if one failed, 4 if nothing answers.",
  flags: {
    homeserver: text("<name>", "Checks that calls for this homeserver are answered.", {
      short: "-H",
      note: "env: SPLITCACHE_CLIENT_HOMESERVER",
    }),
    http: parsed("<address>", "Names the HTTP listener, for version and clock.", parseHttpAddress, {
      note: HTTP_ADDRESS_HELP,
    }),
  },
  examples: ["doctor -H example.org", "doctor --address unix:/run/splitcache/splitcache.sock -o json"],
  run: async ({ connection, flags, io, print }) => {
    const findings = await checkTransport(connection, flags.timeout);
    const isReached = findings[0]?.result === "ok";
    if (findings.every(({ result }) => result === "ok")) {
      const service = await checkService(connection, flags.timeout);
      findings.push(service);
      if (service.check === "service") {
        findings.push(await checkBackend(connection, "log"), await checkBackend(connection, "tier"));
        const homeserver = flags.homeserver ?? io.env["SPLITCACHE_CLIENT_HOMESERVER"];
        findings.push(...(await checkCalls(connection, homeserver)));
        findings.push(...(await checkHttp(connection, flags.http, flags.timeout, io.env)));
      }
    }
    const rows = findings.map(({ check, result, message }) => [check, result, message]);
    const remedies = findings.filter(({ remedy }) => remedy !== "");
    const advice = remedies.map(({ check, remedy }) => `${check}: ${terminalText(remedy)}\n`).join("");
    print(
      findings,
      `${formatTable(["CHECK", "RESULT", "FOUND"], rows, undefined)}${advice && `\n${advice}`}`,
    );
    if (!isReached) return ExitCode.unavailable;
    return findings.some(({ result }) => result === "failed") ? ExitCode.failure : ExitCode.done;
  },
});

/** Checks the connection, and its TLS if the client uses TLS. */
async function checkTransport(
  { address, security }: SidecarConnection,
  timeoutMs: number,
): Promise<Finding[]> {
  const reached = connectionFinding(address, await probeConnection(address, timeoutMs));
  const { tls } = security;
  if (reached.result !== "ok" || tls === undefined) return [reached];
  return [reached, tlsFinding(await probeTls(address, tls, timeoutMs), tls)];
}

async function checkService(connection: SidecarConnection, timeoutMs: number): Promise<Finding> {
  try {
    const state = await servingStatus(connection, "");
    if (state === "SERVING") return ok("service", "the sidecar serves");
    const remedy = "Wait until it has started; if an operator has drained it, use splitcache admin undrain.";
    return failed("service", `the sidecar reports ${state}`, remedy);
  } catch (failure) {
    const { address, security } = connection;
    return callFinding(failure, security.tls ? "unknown" : await probeProtocol(address, timeoutMs));
  }
}

const BACKENDS = {
  log: "Reads miss and changes are refused until it is up. Check PostgreSQL and the sidecar's log lines.",
  tier: "Sidecars that start are cold. Check Redis and the sidecar's log lines.",
} as const;

async function checkBackend(connection: SidecarConnection, name: keyof typeof BACKENDS): Promise<Finding> {
  try {
    const state = await servingStatus(connection, `splitcache.${name}`);
    if (state === "SERVING") return ok(name, `the ${name} is up`);
    const report = name === "log" ? failed : warning;
    return report(name, `the ${name} is unavailable, or the sidecar does not serve`, BACKENDS[name]);
  } catch (failure) {
    if (isStatus(failure, status.NOT_FOUND)) return skipped(name, `the sidecar has no ${name}`);
    return failed(name, describeFailure(failure, connection.address).message, BACKENDS[name]);
  }
}

const ROUND_TRIPS = 5;
const SLOW_MS = 50;

/** Checks whether the sidecar accepts calls of this client, and for this homeserver. */
async function checkCalls(connection: SidecarConnection, homeserver = ""): Promise<Finding[]> {
  const credentials = await checkCredentials(connection);
  if (credentials.result !== "ok") return [credentials];
  if (homeserver === "") {
    return [credentials, skipped("homeserver", "none is given", "Give one with --homeserver.")];
  }
  return [credentials, ...(await checkHomeserver(connection, homeserver))];
}

/** Health needs no credentials, so a call without a homeserver is made: it is refused for no other reason first. */
async function checkCredentials(connection: SidecarConnection): Promise<Finding> {
  const failure = await askPosition(connection, "").catch((failure: unknown) => failure);
  if (isStatus(failure, status.INVALID_ARGUMENT) || isStatus(failure, status.PERMISSION_DENIED)) {
    return ok("credentials", "the sidecar accepts calls of this client");
  }
  const { message } = describeFailure(failure, connection.address);
  return (
    refusalFinding(failure, connection.security) ??
    failed("credentials", message, "Check the sidecar's log lines.")
  );
}

/** Reads the homeserver's position, which is the smallest call of the contract. */
async function checkHomeserver(connection: SidecarConnection, homeserver: string): Promise<Finding[]> {
  try {
    await askPosition(connection, homeserver);
    const times: number[] = [];
    for (let count = 0; count < ROUND_TRIPS; count += 1) {
      const startMs = performance.now();
      await askPosition(connection, homeserver);
      times.push(performance.now() - startMs);
    }
    const ms = times.sort((one, other) => one - other)[Math.floor(ROUND_TRIPS / 2)]!;
    const latency = `a read takes ${ms.toFixed(1)} ms`;
    return [
      ok("homeserver", `calls for ${homeserver} are answered`),
      ms < SLOW_MS
        ? ok("latency", latency)
        : warning("latency", latency, "Run the sidecar nearer to its homeserver, with more CPU."),
    ];
  } catch (failure) {
    const refusal = refusalFinding(failure, connection.security);
    if (refusal !== undefined) return [refusal];
    const { message } = describeFailure(failure, connection.address);
    return [failed("homeserver", message, "Check the name, --homeserver of the sidecar, and its log lines.")];
  }
}

const CLOCK_SKEW_MAX_MS = 5000;

/** Compares clocks and versions. The HTTP listener of another machine must be given. */
async function checkHttp(
  { address, security, signal }: SidecarConnection,
  given: string | undefined,
  timeoutMs: number,
  env: Readonly<Record<string, string | undefined>>,
): Promise<Finding[]> {
  const parsedAddress = parseListenAddress(address);
  if (given === undefined && parsedAddress !== undefined && !isLocal(parsedAddress)) {
    return [skipped("version", "the HTTP listener is not known", "Give it with --http.")];
  }
  const get = (path: string) =>
    fetchPage({ address: given ?? defaultHttpAddress(env), path, timeoutMs, signal, security });
  try {
    // Any client may read it.
    const { date = "" } = await get("/livez");
    const clock = clockFinding(Date.parse(date) - Date.now());
    const version = await get("/status.json").then(
      ({ text }) => versionFinding(String(readStatus(text).figures["version"])),
      (failure: unknown) => skipped("version", describeFailure(failure).message),
    );
    return [clock, version];
  } catch (failure) {
    const remedy = "Give the address of --http of the sidecar with --http.";
    return [skipped("version", describeFailure(failure).message, remedy)];
  }
}

function versionFinding(server: string): Finding {
  const client = readVersion();
  return server === client
    ? ok("version", `client and sidecar are ${client}`)
    : warning("version", `the client is ${client}, the sidecar ${server}`, "Use one version of both.");
}

/** A positive number means that the sidecar's clock is ahead; NaN: the reply had no date. */
function clockFinding(skewMs: number): Finding {
  if (Number.isNaN(skewMs)) return skipped("clock", "the reply of the HTTP listener has no date");
  const seconds = `${(Math.abs(skewMs) / 1000).toFixed(0)} s`;
  return Math.abs(skewMs) <= CLOCK_SKEW_MAX_MS
    ? ok("clock", "the clocks agree")
    : warning("clock", `the clocks differ by ${seconds}`, "Synchronise both by NTP.");
}

function isStatus(failure: unknown, code: status): boolean {
  return failure instanceof Error && "code" in failure && failure.code === code;
}
