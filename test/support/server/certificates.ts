import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach } from "vitest";

/** A certificate and its key: their paths, and their texts. */
export interface Certificate {
  readonly certFile: string;
  readonly keyFile: string;
  readonly cert: string;
  readonly key: string;
}

export interface CertificateOptions {
  /** subjectAltName, as openssl takes it. */
  readonly names?: string;
  readonly commonName?: string;
  /** Undefined: it signs itself. */
  readonly signer?: Certificate | undefined;
  /** Negative: it has expired. */
  readonly days?: number;
}

/** A folder of files for one test, which makes real certificates with openssl. */
export interface SecretFolder {
  path(name: string): string;
  write(name: string, content: string, mode?: number): Promise<string>;
  certificate(name: string, options?: CertificateOptions): Promise<Certificate>;
}

const openssl = (...args: readonly string[]) => promisify(execFile)("openssl", [...args]);

/** Makes folders that are removed after each test, or when `after` says. */
export function useSecretFolders(after: typeof afterEach = afterEach): () => Promise<SecretFolder> {
  const folders: string[] = [];
  after(async () => {
    for (const folder of folders.splice(0)) await rm(folder, { recursive: true });
  });
  return async () => {
    const folder = await mkdtemp(join(tmpdir(), "splitcache-secrets-"));
    folders.push(folder);
    const path = (name: string) => join(folder, name);
    return {
      path,
      write: async (name, content, mode = 0o600) => {
        await rm(path(name), { force: true });
        await writeFile(path(name), content, { mode });
        return path(name);
      },
      certificate: (name, options = {}) => makeCertificate(path, name, options),
    };
  };
}

async function makeCertificate(
  path: (name: string) => string,
  name: string,
  { names = "DNS:localhost,IP:127.0.0.1", commonName = name, signer, days = 2 }: CertificateOptions,
): Promise<Certificate> {
  const [certFile, keyFile, request, extensions] = [
    `${name}.crt`,
    `${name}.key`,
    `${name}.csr`,
    `${name}.ext`,
  ].map(path) as [string, string, string, string];
  const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  await openssl("req", "-new", ...curve, "-keyout", keyFile, "-out", request, "-subj", `/CN=${commonName}`);
  const usage = signer === undefined ? "basicConstraints=critical,CA:TRUE\n" : "";
  await writeFile(extensions, `${usage}${names === "" ? "" : `subjectAltName=${names}\n`}`);
  const by =
    signer === undefined
      ? ["-signkey", keyFile]
      : ["-CA", signer.certFile, "-CAkey", signer.keyFile, "-CAcreateserial"];
  await openssl(
    "x509",
    "-req",
    "-in",
    request,
    ...by,
    "-days",
    String(days),
    "-extfile",
    extensions,
    "-out",
    certFile,
  );
  const [cert, key] = await Promise.all([readFile(certFile, "utf8"), readFile(keyFile, "utf8")]);
  return { certFile, keyFile, cert, key };
}
