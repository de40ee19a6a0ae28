import { execFile } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { rootCertificates } from "node:tls";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readTierFiles, type TierFiles } from "../../../src/config/tier-files.js";

/** The option of each file. */
const OPTIONS = {
  secret: "tierKeyFile",
  username: "tierUsernameFile",
  password: "tierPasswordFile",
  sentinelUsername: "tierSentinelUsernameFile",
  sentinelPassword: "tierSentinelPasswordFile",
  ca: "tierTlsCaFile",
  cert: "tierTlsCertFile",
  key: "tierTlsKeyFile",
} as const;
type Given = Partial<Record<keyof typeof OPTIONS, string>>;

const [FIRST = "", SECOND = ""] = rootCertificates;

let folder: string;
let written = 0;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "splitcache-files-"));
});
afterAll(() => rm(folder, { recursive: true }));

async function fileOf(text: string): Promise<string> {
  const path = join(folder, String(written++));
  await writeFile(path, text);
  return path;
}

function read(given: Given) {
  const entries = Object.entries(OPTIONS).map(([name, option]) => [option, given[name as keyof Given]]);
  return readTierFiles(Object.fromEntries(entries));
}

const filesOf = async (given: Given): Promise<TierFiles> => (await read(given)).texts;

const problemsOf = async (given: Given): Promise<string[]> =>
  (await read(given)).problems.map(({ place, problem }) => `${place}: ${problem}`);

/** A self-signed certificate and its key, made by openssl. */
async function pairOf(...algorithm: string[]): Promise<{ cert: string; key: string }> {
  const [cert, key] = [await fileOf(""), await fileOf("")];
  const made = ["-newkey", ...algorithm, "-nodes", "-days", "1", "-subj", "/CN=cache"];
  await promisify(execFile)("openssl", ["req", "-x509", ...made, "-keyout", key, "-out", cert]);
  return { cert, key };
}

const EC = ["ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"];

describe("the files of the tier", () => {
  it("are read without the line feed that editors add", async () => {
    const files = await filesOf({
      username: await fileOf("cache\n"),
      password: await fileOf(" with spaces \r\n"),
      sentinelPassword: await fileOf("other"),
    });
    expect(files).toMatchObject({
      username: "cache",
      password: " with spaces ",
      sentinelUsername: undefined,
      sentinelPassword: "other",
      ca: undefined,
    });
  });

  it("are reported together, with flag and path, if they cannot be read", async () => {
    const problems = await problemsOf({
      username: "/nowhere/user",
      password: folder,
      ca: "/nowhere/ca",
    });
    expect(problems).toEqual([
      expect.stringMatching(/^--tier-username-file \/nowhere\/user: cannot be read: ENOENT/),
      expect.stringMatching(new RegExp(`^--tier-password-file ${folder}: cannot be read: EISDIR`)),
      expect.stringMatching(/^--tier-tls-ca-file \/nowhere\/ca: cannot be read: ENOENT/),
    ]);
  });

  it.each([
    ["username", "--tier-username-file"],
    ["password", "--tier-password-file"],
    ["sentinelUsername", "--tier-sentinel-username-file"],
    ["sentinelPassword", "--tier-sentinel-password-file"],
    ["ca", "--tier-tls-ca-file"],
    ["cert", "--tier-tls-cert-file"],
    ["key", "--tier-tls-key-file"],
    ["secret", "--tier-key-file"],
  ] as const)("are not empty: %s", async (option, flag) => {
    const path = await fileOf("\n");
    expect(await problemsOf({ [option]: path })).toEqual([`${flag} ${path}: is empty`]);
  });
});

describe("the tier's key", () => {
  it("is a secret of a minimal length, which no message shows", async () => {
    const secret = "0123456789abcdef0123456789abcdef";
    expect(await filesOf({ secret: await fileOf(`${secret}\n`) })).toMatchObject({ secret: secret });
    const path = await fileOf("too-short-secret");
    const [problem] = await problemsOf({ secret: path });
    expect(problem).toMatch(
      /^--tier-key-file .*: has 16 characters and must have at least 32; create one with: openssl/,
    );
    expect(problem).not.toContain("too-short-secret");
  });

  it("does not repeat one character", async () => {
    const path = await fileOf("a".repeat(64));
    expect(await problemsOf({ secret: path })).toEqual([
      `--tier-key-file ${path}: repeats one character; create one with: openssl rand -hex 32`,
    ]);
  });
});

describe("a file of certificates", () => {
  it("may contain several, and other text", async () => {
    const text = `The first:\n${FIRST}\nThe second:\n${SECOND}`;
    expect(await filesOf({ ca: await fileOf(text) })).toMatchObject({ ca: text });
  });

  it.each([
    ["ca", "--tier-tls-ca-file"],
    ["cert", "--tier-tls-cert-file"],
  ] as const)("contains at least one: %s", async (option, flag) => {
    const path = await fileOf(privateKey());
    expect(await problemsOf({ [option]: path })).toEqual([`${flag} ${path}: contains no certificate in PEM`]);
  });

  it.each([
    ["cut off", `${FIRST}\n${SECOND.slice(0, 300)}`],
    ["damaged", `${FIRST}\n${SECOND.replace("\nMII", "\nMIJ")}`],
  ])("contains none that is %s", async (_, text) => {
    const path = await fileOf(text);
    expect(await problemsOf({ ca: path })).toEqual([
      expect.stringContaining(`--tier-tls-ca-file ${path}: certificate 2 of 2 is not valid: error:`),
    ]);
  });
});

describe("a certificate and its key", () => {
  it("are read unchanged", async () => {
    const { cert, key } = await pairOf(...EC);
    expect(await filesOf({ cert: cert, key: key })).toMatchObject({
      cert: (await readFile(cert, "utf8")).trimEnd(),
      key: (await readFile(key, "utf8")).trimEnd(),
    });
  });

  it("are not accepted in place of each other", async () => {
    const [cert, key] = [await fileOf(FIRST), await fileOf("none")];
    expect(await problemsOf({ cert: cert, key: key })).toEqual([
      expect.stringContaining(
        `--tier-tls-key-file ${key}: contains no private key in PEM without a passphrase: `,
      ),
    ]);
  });

  it.each(["rsa", "ec"] as const)(
    "are refused if the key belongs to another certificate, of the kind %s",
    async (kind) => {
      const { cert } = await pairOf(...EC);
      const key = await fileOf(privateKey(kind));
      expect(await problemsOf({ cert: cert, key: key })).toEqual([
        "--tier-tls-cert-file and --tier-tls-key-file: the key does not belong to the certificate",
      ]);
    },
  );

  it("are refused if they are too weak for TLS", async () => {
    const { cert, key } = await pairOf("rsa:512");
    expect(await problemsOf({ cert: cert, key: key })).toEqual([
      expect.stringMatching(/^--tier-tls-cert-file and --tier-tls-key-file: .*key too small/),
    ]);
  });
});

function privateKey(kind: "rsa" | "ec" = "ec"): string {
  const { privateKey } =
    kind === "ec"
      ? generateKeyPairSync("ec", { namedCurve: "prime256v1" })
      : generateKeyPairSync("rsa", { modulusLength: 2048 });
  return privateKey.export({ type: "pkcs8", format: "pem" }).toString();
}
