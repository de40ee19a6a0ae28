import { createHash, timingSafeEqual } from "node:crypto";
import { CacheError } from "../core/model/errors.js";
import type { Principal, Rights } from "./principal.js";

/** A client of the auth file, with its credentials. */
export interface ClientEntry {
  readonly rights: Rights;
  /** SHA-256 of each token, in hexadecimal digits. */
  readonly tokenDigests: readonly string[];
  readonly certificateNames: readonly string[];
  /** The paths of Unix sockets whose peers are this client. */
  readonly unixSockets: readonly string[];
}

/** The credentials of a call. */
export interface Credentials {
  /** The values of all `authorization` headers. */
  readonly authorization: readonly string[];
  /** The names in a verified client certificate. */
  readonly certificateNames: readonly string[];
  /** The path of the Unix socket that the connection came through. */
  readonly unixSocket: string | undefined;
}

interface Known extends Principal {
  rights: Rights | undefined;
  /** Of a token. */
  readonly digest: string | undefined;
}

/** Longer tokens are refused before they are hashed. */
export const TOKEN_BYTES_MAX = 4096;
const BEARER = /^Bearer ([\x21-\x7e]+)$/i;

/** The clients of the auth file. Of tokens only digests are kept. */
export class Clients {
  /** By credential: kind and digest, name or path. */
  #known = new Map<string, Known>();
  readonly #listeners = new Set<() => void>();

  constructor(entries: readonly ClientEntry[]) {
    this.replace(entries);
  }

  /** Takes other clients. Calls that are open get the new rights of their credential. */
  replace(entries: readonly ClientEntry[]): void {
    const before = this.#known;
    const after = new Map<string, Known>();
    for (const entry of entries) {
      for (const [key, digest] of keysOf(entry)) {
        const known = before.get(key) ?? { rights: undefined, digest };
        known.rights = entry.rights;
        after.set(key, known);
        before.delete(key);
      }
    }
    for (const gone of before.values()) gone.rights = undefined;
    this.#known = after;
    for (const listener of [...this.#listeners]) listener();
  }

  /** Calls `listener` after each change, until the returned function is called. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** The client of a call. A token counts before a certificate, and that before the socket. */
  authenticate({ authorization, certificateNames, unixSocket }: Credentials): Principal | CacheError {
    const [header, ...others] = authorization;
    if (others.length > 0) return unauthenticated("authorization must be given once");
    if (header !== undefined) return this.#byToken(header) ?? unauthenticated("the token is not valid");
    for (const name of certificateNames) {
      const known = this.#known.get(`name ${name}`);
      if (known !== undefined) return known;
    }
    const trusted = unixSocket === undefined ? undefined : this.#known.get(`socket ${unixSocket}`);
    if (trusted !== undefined) return trusted;
    return unauthenticated(
      certificateNames.length > 0
        ? "the names in the client certificate belong to no client of the auth file"
        : "credentials are required: authorization: Bearer <token>, or a client certificate",
    );
  }

  #byToken(header: string): Principal | undefined {
    const token = header.length > TOKEN_BYTES_MAX ? undefined : BEARER.exec(header)?.[1];
    if (token === undefined) return undefined;
    const digest = digestOf(token);
    // Nobody can choose a digest, so the time of the lookup tells nothing about the tokens.
    const found = this.#known.get(tokenKey(digest));
    // The lookup compares digests in a time of its own; this comparison takes the same time for any.
    const isSame = timingSafeEqual(Buffer.from(found?.digest ?? NO_DIGEST), Buffer.from(digest));
    return isSame ? found : undefined;
  }
}

const NO_DIGEST = "0".repeat(64);

/** SHA-256 of a token, in hexadecimal digits. */
export function digestOf(token: string): string {
  return createHash("sha256").update(token).digest("hex");
}

function tokenKey(digest: string): string {
  return `token ${digest}`;
}

function keysOf(entry: ClientEntry): [key: string, digest: string | undefined][] {
  return [
    ...entry.tokenDigests.map((digest): [string, string] => [tokenKey(digest), digest]),
    ...entry.certificateNames.map((name): [string, undefined] => [`name ${name}`, undefined]),
    ...entry.unixSockets.map((path): [string, undefined] => [`socket ${path}`, undefined]),
  ];
}

function unauthenticated(message: string): CacheError {
  return new CacheError("unauthenticated", message);
}
