import { createHash } from "node:crypto";

/** The software bill of materials: what the program is installed with, from the lock file. */

interface LockedPackage {
  readonly dev?: boolean;
  /** A workspace's. */
  readonly link?: boolean;
  readonly devDependencies?: Readonly<Record<string, string>>;
  readonly workspaces?: readonly string[];
}

interface Lock {
  readonly packages: Readonly<Record<string, LockedPackage>>;
}

interface Bom {
  serialNumber: string;
  metadata: { timestamp: string };
}

/**
 * A package.json or a lock file without the packages of development and without workspaces, which the program
 * is not installed with. `npm sbom --omit=dev` also omits packages
 * that both need, such as commander, so it gets files that have nothing to omit.
 */
export function withoutDevelopment(text: string): string {
  const {
    devDependencies: _,
    workspaces: __,
    ...manifest
  } = JSON.parse(text) as LockedPackage & Partial<Lock>;
  if (manifest.packages === undefined) return JSON.stringify(manifest);
  const kept = Object.entries(manifest.packages)
    .filter(([path, { dev = false }]) => !dev && (path === "" || path.startsWith("node_modules/")))
    .filter(([, { link = false }]) => !link)
    .map(([path, { devDependencies: _, workspaces: __, ...rest }]) => [path, rest]);
  return JSON.stringify({ ...manifest, packages: Object.fromEntries(kept) });
}

/** A bill in CycloneDX whose time is the commit's, and whose serial number follows from its content. */
export function reproducibleBom(text: string, epochSeconds: number): string {
  const bom = JSON.parse(text) as Bom;
  bom.metadata.timestamp = new Date(epochSeconds * 1000).toISOString();
  bom.serialNumber = "";
  const digest = createHash("sha256").update(JSON.stringify(bom)).digest("hex");
  bom.serialNumber = `urn:uuid:${uuidOf(digest)}`;
  return `${JSON.stringify(bom, null, 2)}\n`;
}

/** A UUID of version 8, from a digest in hexadecimal (RFC 9562). */
function uuidOf(digest: string): string {
  const variant = "89ab"[Number.parseInt(digest[16] ?? "0", 16) % 4];
  return [
    digest.slice(0, 8),
    digest.slice(8, 12),
    `8${digest.slice(13, 16)}`,
    `${variant}${digest.slice(17, 20)}`,
    digest.slice(20, 32),
  ].join("-");
}
