import type { IncomingMessage } from "node:http";
import { CallAccess } from "./auth/call-access.js";
import { certificateNamesOf } from "./auth/certificate-names.js";
import { Clients } from "./auth/clients.js";
import { asBearer } from "./auth/http-basic.js";
import type { Principal } from "./auth/principal.js";
import { type AuthSurroundings, type ReadClients, readClients } from "./auth/read-clients.js";
import { FileWatch } from "./config/file-watch.js";
import type { Config } from "./config/options.js";
import { ConfigError } from "./config/parse-config.js";
import type { Problem } from "./config/settings.js";
import { readTlsFiles, type TlsMaterial, tlsPaths } from "./config/tls-files.js";
import { CacheError } from "./core/model/errors.js";
import { type Secure, TlsFront } from "./net/tls-front.js";
import type { Logger } from "./telemetry/logger.js";
import { reportSecurity } from "./telemetry/security-reports.js";

/** TLS and authentication of all ports, as the files say at present. */
export interface Security {
  /** Undefined without TLS. */
  readonly secureGrpc: Secure | undefined;
  readonly secureHttp: Secure | undefined;
  /** Undefined without an auth file. */
  readonly access: CallAccess | undefined;
  /** Whether an HTTP request comes from an operator; undefined: it is not asked. */
  readonly isOperator: ((request: IncomingMessage) => boolean) | undefined;
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
    onChange: () => reload(),
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
  const fronts = { grpc: front("h2"), http: front("http/1.1") };
  const clients = authFile === undefined ? undefined : new Clients(auth.clients);

  async function reload(): Promise<void> {
    const [tls, auth] = [await readTlsFiles(config, wallClock()), await readAuth()];
    if (tls.problems.length > 0) log.notReloaded("certificates", shown(tls.problems));
    else if (tls.material !== undefined && isOther(tls.material, material)) {
      material = tls.material;
      for (const tlsFront of Object.values(fronts)) tlsFront?.renew(material);
      log.reloaded("certificates", { expires: new Date(material.expiresMs).toISOString() });
    }
    if (clients === undefined) return;
    if (auth.problems.length > 0) log.notReloaded("clients", shown(auth.problems));
    else {
      clients.replace(auth.clients);
      log.reloaded("clients", { clients: auth.clients.length });
    }
  }
  return {
    secureGrpc: fronts.grpc?.secure,
    secureHttp: fronts.http?.secure,
    access: clients && new CallAccess(clients, (error, peer) => log.refused(error.message, peer)),
    isOperator: clients && ((request) => isOperator(clients, request)),
    expiresMs: () => material?.expiresMs,
    reload: () => watch.checkNow(),
    stop: () => watch.stop(),
  };
}

const NO_CLIENTS: ReadClients = { clients: [], paths: [], problems: [] };

function surroundingsOf({ homeservers, listen, adminListen, tlsClientCaFile }: Config): AuthSurroundings {
  const sockets = [...listen, ...adminListen].flatMap((address) =>
    address.kind === "unix" ? [address.path] : [],
  );
  return { homeservers, unixSockets: sockets, hasClientCa: tlsClientCaFile !== undefined };
}

/** Whether the credentials of a request are of a client of role operator. */
function isOperator(clients: Clients, { rawHeaders, socket }: IncomingMessage): boolean {
  const authorization = rawHeaders
    .filter((_, at) => at % 2 === 1 && rawHeaders[at - 1]?.toLowerCase() === "authorization")
    .map(asBearer);
  const certificateNames = certificateNamesOf(socket);
  const found: Principal | CacheError = clients.authenticate({
    authorization,
    certificateNames,
    unixSocket: undefined,
  });
  return !(found instanceof CacheError) && found.rights?.role === "operator";
}

function isOther(read: TlsMaterial, used: TlsMaterial | undefined): boolean {
  return read.cert !== used?.cert || read.key !== used.key || read.clientCa !== used.clientCa;
}

function shown(problems: readonly Problem[]): string[] {
  return new ConfigError(problems).message.split("\n");
}
