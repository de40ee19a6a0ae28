import { readFile, stat } from "node:fs/promises";
import type { Problem } from "../config/settings.js";
import { type DescribedClient, parseAuthFile } from "./auth-file.js";
import type { ClientEntry } from "./clients.js";
import { readTokenDigest } from "./token-file.js";

/** What the configuration offers to clients of the auth file. */
export interface AuthSurroundings {
  /** The homeservers that are served; none: any. */
  readonly homeservers: readonly string[];
  /** The paths of the Unix sockets that are listened on. */
  readonly unixSockets: readonly string[];
  readonly hasClientCa: boolean;
}

export interface ReadClients {
  readonly clients: readonly ClientEntry[];
  /** All files that were read, or could not be read. */
  readonly paths: readonly string[];
  readonly problems: readonly Problem[];
}

const AUTH_FILE_BYTES_MAX = 16 * 1024 * 1024;

/** Reads the auth file and the token files that it names. Every problem of every file is reported. */
export async function readClients(path: string, around: AuthSurroundings): Promise<ReadClients> {
  let content: string;
  try {
    const { size } = await stat(path);
    if (size > AUTH_FILE_BYTES_MAX) throw new Error(`it is larger than ${AUTH_FILE_BYTES_MAX} bytes`);
    content = await readFile(path, "utf8");
  } catch (error) {
    const problem = `cannot be read: ${error instanceof Error ? error.message : String(error)}`;
    return { clients: [], paths: [path], problems: [{ place: path, problem }] };
  }
  const parsed = parseAuthFile(path, content);
  const problems = [
    ...parsed.problems,
    ...parsed.clients.flatMap((client) => contradictions(client, around)),
  ];
  const clients: ClientEntry[] = [];
  const owners = new Map<string, string>();
  const claim = (kind: string, credential: string, place: string) => {
    const owner = owners.get(`${kind} ${credential}`);
    owners.set(`${kind} ${credential}`, place);
    if (owner === undefined) return;
    problems.push({ place, problem: `${kind} is already a credential of ${owner}; each needs its own` });
  };
  for (const client of parsed.clients) {
    const tokenDigests = await readTokens(client, problems, claim);
    for (const name of client.certificate_names) claim(`certificate name ${name}`, "", client.place);
    for (const socket of client.unix_sockets) claim(`Unix socket ${socket}`, "", client.place);
    clients.push({
      rights: {
        name: client.name,
        role: client.role,
        homeservers: client.homeservers.length === 0 ? undefined : new Set(client.homeservers),
      },
      tokenDigests,
      certificateNames: client.certificate_names,
      unixSockets: client.unix_sockets,
    });
  }
  const paths = [path, ...parsed.clients.flatMap(({ token_files }) => token_files)];
  return { clients, paths, problems };
}

async function readTokens(
  client: DescribedClient,
  problems: Problem[],
  claim: (kind: string, credential: string, place: string) => void,
): Promise<string[]> {
  const digests: string[] = [];
  for (const file of client.token_files) {
    try {
      const digest = await readTokenDigest(file);
      claim("the token", digest, `${client.place}, token file ${file}`);
      digests.push(digest);
    } catch (error) {
      const problem = error instanceof Error ? error.message : String(error);
      problems.push({ place: `${client.place}, token file ${file}`, problem });
    }
  }
  for (const [index, digest] of client.tokens_sha256.entries()) {
    claim("the token", digest, `${client.place}, tokens_sha256[${index}]`);
    digests.push(digest);
  }
  return digests;
}

/** What a client says that does not fit the rest of the configuration. */
function contradictions(client: DescribedClient, around: AuthSurroundings): Problem[] {
  const { place } = client;
  const problems: Problem[] = [];
  for (const homeserver of client.homeservers) {
    if (around.homeservers.length === 0 || around.homeservers.includes(homeserver)) continue;
    problems.push({
      place,
      problem: `homeserver ${homeserver} is not served: --homeserver does not name it`,
    });
  }
  for (const socket of client.unix_sockets) {
    if (around.unixSockets.includes(socket)) continue;
    problems.push({
      place,
      problem: `no listener is at unix:${socket}: add it to --listen or --admin-listen`,
    });
  }
  if (client.certificate_names.length > 0 && !around.hasClientCa) {
    problems.push({ place, problem: "certificate_names requires --tls-client-ca-file" });
  }
  return problems;
}
