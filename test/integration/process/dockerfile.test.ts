import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { createAdminHttp } from "../../../src/probes/http.js";
import { useSecretFolders } from "../../support/server/certificates.js";
import { startTestServer } from "../../support/server/start-server.js";

const makeFolder = useSecretFolders();

const ROOT = fileURLToPath(new URL("../../..", import.meta.url));
const run = promisify(execFile);
const dockerfile = readFileSync(`${ROOT}/Dockerfile`, "utf8");

it("pins its base images by digest", () => {
  const images = [...dockerfile.matchAll(/^FROM (\S+)/gm)].map(([, image]) => image);
  expect(images.length).toBeGreaterThan(0);
  for (const image of images) expect(image).toMatch(/:[\w.-]+@sha256:[0-9a-f]{64}$/);
});

describe("the health check", () => {
  const SCRIPT = `${ROOT}scripts/healthcheck.mjs`;
  const check = (env: Record<string, string>) => run(process.execPath, [SCRIPT], { env });

  it("is a script that the image contains", () => {
    expect(dockerfile).toMatch(/^COPY .*scripts\/healthcheck\.mjs \.\/$/m);
    const [, command = "[]"] = /^HEALTHCHECK[^[]*(\[.*\])$/m.exec(dockerfile) ?? [];
    expect(JSON.parse(command)).toEqual(["/nodejs/bin/node", "/app/healthcheck.mjs"]);
  });

  it("follows /readyz", async () => {
    let isReady = true;
    const server = createAdminHttp({ isReady: () => isReady });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    const port = typeof address === "object" ? address?.port : undefined;
    const env = { SPLITCACHE_HTTP: `127.0.0.1:${port}` };
    await expect(check(env)).resolves.toMatchObject({ stdout: "", stderr: "" });
    isReady = false;
    await expect(check(env)).rejects.toMatchObject({ code: 1 });
    server.close();
    await expect(check(env)).rejects.toMatchObject({ code: 1 });
  });

  it("works with TLS, over the HTTP port and over the port of probes", async () => {
    const { certFile, keyFile } = await (await makeFolder()).certificate("server", {
      names: "DNS:elsewhere",
    });
    const server = await startTestServer({ tlsCertFile: certFile, tlsKeyFile: keyFile });
    const env = {
      SPLITCACHE_TLS_CERT_FILE: certFile,
      SPLITCACHE_HTTP: server.httpUrl.slice("http://".length),
    };
    const throughHealth = { ...env, SPLITCACHE_HTTP: "off", SPLITCACHE_HEALTH_LISTEN: server.healthAddress };
    await check(env);
    await check(throughHealth);
    await server.stop();
    for (const given of [env, throughHealth]) await expect(check(given)).rejects.toMatchObject({ code: 1 });
  });
});

it("ships the licences of what it contains", async () => {
  for (const file of ["LICENSE", "THIRD_PARTY_LICENCES"]) expect(dockerfile).toMatch(`${file} `);
  const script = `${ROOT}/scripts/write-third-party-licences.mjs`;
  const { stdout } = await run(process.execPath, [script, ROOT], { maxBuffer: 2 ** 26 });
  const { dependencies } = JSON.parse(readFileSync(`${ROOT}/package.json`, "utf8"));
  for (const [name, version] of Object.entries(dependencies))
    expect(stdout).toContain(`${name} ${version}: `);
});
