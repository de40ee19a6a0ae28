import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, it } from "vitest";
import { createAdminHttp } from "../../src/probes/http.js";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const run = promisify(execFile);
const dockerfile = readFileSync(`${ROOT}/Dockerfile`, "utf8");

it("pins its base images by digest", () => {
  const images = [...dockerfile.matchAll(/^FROM (\S+)/gm)].map(([, image]) => image);
  expect(images.length).toBeGreaterThan(0);
  for (const image of images) expect(image).toMatch(/:[\w.-]+@sha256:[0-9a-f]{64}$/);
});

it("has a health check that follows /readyz", async () => {
  const [, command = "[]"] = /^HEALTHCHECK[^[]*(\[.*\])$/m.exec(dockerfile) ?? [];
  const [, ...args] = JSON.parse(command) as string[];
  let isReady = true;
  const server = createAdminHttp({ isReady: () => isReady });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const port = typeof address === "object" ? address?.port : undefined;
  const check = () => run(process.execPath, args, { env: { SPLITCACHE_HTTP: `127.0.0.1:${port}` } });
  await expect(check()).resolves.toMatchObject({ stdout: "", stderr: "" });
  isReady = false;
  await expect(check()).rejects.toMatchObject({ code: 1 });
  server.close();
  await expect(check()).rejects.toMatchObject({ code: 1 });
});

it("ships the licences of what it contains", async () => {
  for (const file of ["LICENSE", "THIRD_PARTY_LICENCES"]) expect(dockerfile).toMatch(`${file} `);
  const script = `${ROOT}/scripts/write-third-party-licences.mjs`;
  const { stdout } = await run(process.execPath, [script, ROOT], { maxBuffer: 2 ** 26 });
  const { dependencies } = JSON.parse(readFileSync(`${ROOT}/package.json`, "utf8"));
  for (const [name, version] of Object.entries(dependencies))
    expect(stdout).toContain(`${name} ${version}: `);
});
