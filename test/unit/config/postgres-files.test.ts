import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readPostgresFiles } from "../../../src/config/postgres-files.js";
import { parsePostgresUrl } from "../../../src/config/postgres-url.js";

describe("the files of a PostgreSQL URL", () => {
  const folder = mkdtempSync(join(tmpdir(), "splitcache-"));
  const path = (name: string) => join(folder, name);
  beforeAll(() => {
    for (const name of ["one", "two"]) {
      const files = ["-keyout", path(`${name}.key`), "-out", path(`${name}.crt`), "-subj", "/CN=x"];
      execFileSync("openssl", ["req", "-x509", "-newkey", "rsa:2048", "-nodes", ...files], {
        stdio: "ignore",
      });
    }
    writeFileSync(path("password"), "a secret\n");
    writeFileSync(path("empty"), "\n");
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  const read = (query: string, passwordFile?: string) => {
    const { settings } = parsePostgresUrl(`postgres://u@db/d?${query}`, {
      PGPASSWORD: "from the environment",
    });
    const file = passwordFile && path(passwordFile);
    return readPostgresFiles(settings!, { place: "--log-password-file", path: file });
  };

  it("takes the password from the file, else from the environment", async () => {
    expect((await read("", "password")).secrets.password).toBe("a secret");
    expect((await read("")).secrets.password).toBe("from the environment");
  });

  it("verifies the server as the mode requires", async () => {
    const ca = `sslrootcert=${path("one.crt")}`;
    const tls = async (query: string) => (await read(query)).secrets.tls;
    expect(await tls("sslmode=disable")).toBeUndefined();
    expect(await tls("sslmode=require")).toMatchObject({ rejectUnauthorized: false });
    expect(await tls(`sslmode=require&${ca}`)).toMatchObject({ rejectUnauthorized: true });
    expect((await tls(`sslmode=verify-ca&${ca}`))?.checkServerIdentity?.("x", {} as never)).toBeUndefined();
    const full = await tls(`sslmode=verify-full&${ca}`);
    expect(full).toMatchObject({ rejectUnauthorized: true, ca: expect.stringContaining("BEGIN") });
    expect(full?.checkServerIdentity).toBeUndefined();
  });

  it("reports every problem, with its place and without a secret", async () => {
    const { problems } = await read(
      `sslrootcert=${path("password")}&sslcert=${path("one.crt")}&sslkey=${path("two.key")}`,
      "empty",
    );
    expect(problems).toEqual([
      { place: `--log-password-file ${path("empty")}`, problem: "is empty" },
      { place: `sslrootcert ${path("password")}`, problem: "contains no certificate in PEM" },
      { place: "sslcert and sslkey", problem: "the key does not belong to the certificate" },
    ]);
    const missing = await read(`sslrootcert=${path("missing")}`);
    expect(missing.problems[0]?.problem).toContain("cannot be read");
  });
});
