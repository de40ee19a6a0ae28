import type { IncomingMessage } from "node:http";
import type { ServerHttp2Session } from "node:http2";
import type { Socket } from "node:net";
import { resolve } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { CallAccess } from "./auth/call-access.js";
import { certificateNamesOf } from "./auth/certificate-names.js";
import { type ClientEntry, Clients } from "./auth/clients.js";
import { asBearer } from "./auth/http-basic.js";
import { mayAdministrate, mayReadMetrics } from "./auth/principal.js";
import { type AuthSurroundings, type ReadClients, readClients } from "./auth/read-clients.js";
import type { ListenAddress } from "./config/address.js";
import { FileWatch } from "./config/file-watch.js";
import type { Config } from "./config/options.js";
import { ConfigError } from "./config/parse-config.js";
import type { Problem } from "./config/settings.js";
import { readTlsFiles, type TlsMaterial, tlsPaths } from "./config/tls-files.js";
import { CacheError } from "./core/model/errors.js";
import { CertifiedConnections } from "./net/certified-connections.js";
import { type Secure, TlsFront } from "./net/tls-front.js";
import type { AccessResult, HttpAccess, Resource } from "./probes/http.js";
import type { Logger } from "./telemetry/logger.js";
import { type Reloadable, reportSecurity, type SecurityObserver } from "./telemetry/security-reports.js";

/** TLS and authentication of all ports, as the files say at present. */
export interface Security {
  /** Undefined without TLS. */
  readonly secureGrpc: Secure | undefined;
  readonly secureHttp: Secure | undefined;
  /** Apart from the others, so that stalled handshakes there do not end the handshakes of operators. */
  readonly secureAdmin: Secure | undefined;
  /** Called for each gRPC connection, before its first call. */
  opened(session: ServerHttp2Session, socket: Socket, listener: ListenAddress): void;
  /** Undefined without an auth file. */
  readonly access: CallAccess | undefined;
  /** Decides about HTTP requests for metrics and pages; undefined without an auth file. */
  readonly httpAccess: HttpAccess | undefined;
  /** Milliseconds since 1970 when the server certificate expires; undefined without TLS. */
  expiresMs(): number | undefined;
  /** Reads all files again. A file with an error changes nothing. */
  reload(): void;
  stop(): void;
}

export interface SecurityDeps {
  readonly logger: Logger;
  /** Milliseconds since 1970. */
  readonly wallClock: () => number;
  /** How often the files are checked; 5 s unless given. */
  readonly fileCheckIntervalMs?: number;
}

/** Reads the files of TLS and authentication. Rejects with a ConfigError that names every problem. */
export async function openSecurity(config: Config, deps: SecurityDeps): Promise<Security> {
  const { wallClock } = deps;
  const log = reportSecurity(deps.logger);
  const around = surroundingsOf(config);
  const { authFile } = config;
  let paths: readonly string[] = [];
  const readAuth = async (): Promise<ReadClients> => {
    const read = authFile === undefined ? NO_CLIENTS : await readClients(authFile, around);
    paths = read.paths;
    return read;
  };
  const watch = new FileWatch({
    paths: () => [...tlsPaths(config), ...paths],
    onChange: (isRetry) => reload(isRetry),
    ...(deps.fileCheckIntervalMs !== undefined && { intervalMs: deps.fileCheckIntervalMs }),
  });
  // The first reading only finds the token files to watch: a change after `start` is noticed, and
  // one between a reading and `start` would not be.
  await readAuth();
  await watch.start();
  const [tls, auth] = [await readTlsFiles(config, wallClock()), await readAuth()];
  const problems = [...tls.problems, ...auth.problems];
  if (problems.length > 0) {
    watch.stop();
    throw new ConfigError(problems);
  }
  let { material } = tls;
  const requiresCertificate = authFile === undefined;
  const front = (protocol: "h2" | "http/1.1") =>
    material && new TlsFront({ identity: material, protocol, requiresCertificate, log });
  const fronts = { grpc: front("h2"), http: front("http/1.1"), admin: front("h2") };
  const certified = new CertifiedConnections(wallClock);
  let entries = auth.clients;
  const clients = authFile === undefined ? undefined : new Clients(auth.clients);

  function renewTls(read: TlsMaterial | undefined): void {
    if (read === undefined || !isOther(read, material)) return;
    for (const tlsFront of Object.values(fronts)) tlsFront?.renew(read);
    if (read.clientCa !== material?.clientCa) certified.endAll();
    material = read;
    log.reloaded("certificates", { expires: new Date(read.expiresMs).toISOString() });
  }

  function renewClients(read: readonly ClientEntry[]): void {
    if (clients === undefined || isDeepStrictEqual(read, entries)) return;
    entries = read;
    clients.replace(read);
    log.reloaded("clients", { clients: read.length });
  }

  const attempts = { certificates: attempt("certificates", log), clients: attempt("clients", log) };
  async function reload(isRetry: boolean): Promise<boolean> {
    const [tls, auth] = [await readTlsFiles(config, wallClock()), await readAuth()];
    const hasTls = attempts.certificates(tls.problems, isRetry, () => renewTls(tls.material));
    return attempts.clients(auth.problems, isRetry, () => renewClients(auth.clients)) && hasTls;
  }
  const access = clients && new CallAccess(clients, log);
  return {
    opened: (session, socket, listener) => {
      certified.opened(session, socket);
      access?.opened(session, socket, listener);
    },
    secureGrpc: fronts.grpc?.secure,
    secureHttp: fronts.http?.secure,
    secureAdmin: fronts.admin?.secure,
    access,
    httpAccess: clients && ((request, resource) => httpAccess(clients, request, resource)),
    expiresMs: () => material?.expiresMs,
    reload: () => watch.checkNow(),
    stop: () => watch.stop(),
  };
}

/** Uses new files if they have no problem, else logs the problems: again at a retry only if they are others. */
function attempt(what: Reloadable, log: SecurityObserver) {
  let logged: readonly string[] = [];
  return (problems: readonly Problem[], isRetry: boolean, use: () => void): boolean => {
    let found = problems.length === 0 ? [] : shown(problems);
    try {
      if (found.length === 0) use();
    } catch (error) {
      found = [error instanceof Error ? error.message : String(error)];
    }
    if (found.length > 0 && !(isRetry && isDeepStrictEqual(found, logged))) log.notReloaded(what, found);
    logged = found;
    return found.length === 0;
  };
}

const NO_CLIENTS: ReadClients = { clients: [], paths: [], problems: [] };

function surroundingsOf({ homeservers, listen, adminListen, tlsClientCaFile }: Config): AuthSurroundings {
  const sockets = [...listen, ...adminListen].flatMap((address) =>
    address.kind === "unix" ? [resolve(address.path)] : [],
  );
  return { homeservers, unixSockets: sockets, hasClientCa: tlsClientCaFile !== undefined };
}

/** Metrics and pages name all homeservers, so a client of a homeserver reads neither. */
function httpAccess(
  clients: Clients,
  { rawHeaders, socket }: IncomingMessage,
  resource: Resource,
): AccessResult {
  const authorization = rawHeaders
    .filter((_, at) => at % 2 === 1 && rawHeaders[at - 1]?.toLowerCase() === "authorization")
    .map(asBearer);
  const certificateNames = certificateNamesOf(socket);
  const found = clients.authenticate({
    authorization,
    certificateNames,
    unixSocket: undefined,
  });
  if (found instanceof CacheError) return "unauthenticated";
  const mayRead = resource === "metrics" ? mayReadMetrics(found) : mayAdministrate(found);
  return mayRead ? "allowed" : "denied";
}

function isOther(read: TlsMaterial, used: TlsMaterial | undefined): boolean {
  return read.cert !== used?.cert || read.key !== used.key || read.clientCa !== used.clientCa;
}

function shown(problems: readonly Problem[]): string[] {
  return new ConfigError(problems).message.split("\n");
}
