import { afterEach, expect, it } from "vitest";
import { openSecurity, type Security } from "../../../src/compose-security.js";
import { parseConfig } from "../../../src/config/parse-config.js";
import { createLogger } from "../../../src/telemetry/logger.js";
import { eventually } from "../../support/eventually.js";
import { authYaml, BETA, makeFolder, token } from "../../support/server/auth-server.js";
import type { LogLine } from "../../support/server/start-server.js";

let security: Security | undefined;
afterEach(() => security?.stop());

/** TLS and an auth file, checked often; `clock` moves the time of day. */
async function open() {
  const folder = await makeFolder();
  const clock = { aheadMs: 0 };
  const first = await folder.certificate("first");
  const files = {
    tlsCertFile: await folder.write("tls.crt", first.cert),
    tlsKeyFile: await folder.write("tls.key", first.key),
    authFile: await folder.write("auth.yaml", authYaml([await clientWith(folder)])),
  };
  const { config } = parseConfig({
    flags: { texts: new Map(), unknown: [] },
    environment: {},
    file: undefined,
    memoryLimitBytes: undefined,
  });
  const lines: LogLine[] = [];
  security = await openSecurity(
    { ...config, ...files },
    {
      logger: createLogger({ level: "info", to: { write: (line) => void lines.push(JSON.parse(line)) } }),
      wallClock: () => Date.now() + clock.aheadMs,
      fileCheckIntervalMs: 10,
    },
  );
  return { folder, clock, lines, messages: () => lines.map(({ msg }) => msg) };
}

async function clientWith(folder: Awaited<ReturnType<typeof makeFolder>>) {
  const file = await folder.write("token", token());
  return { name: "b", role: "homeserver", homeservers: [BETA], token_files: [file] };
}

const DAY_MS = 86_400_000;

it("that failed is repeated until it succeeds, with one error for the same problem", async () => {
  const { folder, clock, lines, messages } = await open();
  clock.aheadMs = -DAY_MS;
  const second = await folder.certificate("second");
  await folder.write("tls.key", second.key);
  await folder.write("tls.crt", second.cert);
  const errors = () => lines.filter(({ problems }) => /is valid from .* on/.test(String(problems)));
  await eventually(() => expect(errors()).toHaveLength(1));
  // The interval passes several times meanwhile.
  await folder.certificate("other");
  expect(errors()).toHaveLength(1);
  clock.aheadMs = 0;
  await eventually(() => expect(messages().at(-1)).toBe("the certificates were read again and are in use"));
});

it("names only what has changed", async () => {
  const { folder, messages } = await open();
  const second = await folder.certificate("second");
  await folder.write("tls.key", second.key);
  await folder.write("tls.crt", second.cert);
  const certificates = "the certificates were read again and are in use";
  await eventually(() => expect(messages()).toContain(certificates));
  expect(messages()).not.toContain("the clients were read again and are in use");
  await folder.write("token", token());
  await eventually(() => expect(messages().at(-1)).toBe("the clients were read again and are in use"));
  expect(messages().filter((message) => message === certificates)).toHaveLength(1);
});
