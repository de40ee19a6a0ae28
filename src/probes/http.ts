import { createServer, type IncomingMessage, type RequestListener, type Server } from "node:http";
import type { Duplex } from "node:stream";
import { isLoopback } from "../config/address.js";
import { type HostCheck, loopbackHostCheck } from "../net/host-check.js";

/** The sources of the HTTP server's answers. */
export interface AdminSources {
  readonly isReady: () => boolean;
  /** If absent, there is no /metrics. */
  readonly metrics?: MetricsSource;
  /** Other pages, by their paths; none unless given. */
  readonly pages?: ReadonlyMap<string, () => Page | Promise<Page>>;
  /** Whether the client of a request may read the metrics or a page. If absent, anybody may read them. */
  readonly access?: HttpAccess | undefined;
  /**
   * If given, a request to a loopback listener must have a loopback name or this name
   * as its Host. If absent, any Host is accepted.
   */
  readonly configuredHost?: string;
  /** The time limit from the connection until the request has arrived; 5 s if left out. */
  readonly requestTimeoutMs?: number;
}

export type HttpAccess = (request: IncomingMessage, resource: Resource) => AccessResult;

/** What is not for everybody: the data of every homeserver are in both. */
export type Resource = "metrics" | "pages";

export type AccessResult = "allowed" | "unauthenticated" | "denied";

/** Metrics in the text format of Prometheus. */
export interface MetricsSource {
  readonly contentType: string;
  metrics(): Promise<Buffer>;
}

export interface Page {
  readonly body: Buffer;
  readonly contentType: string;
  readonly headers?: Readonly<Record<string, string>>;
}

interface Answer extends Page {
  readonly code: number;
}

/** The time limit for the request of a probe or a scrape. */
const REQUEST_TIMEOUT_MS = 5000;
/** The time limit from the connection until the reply has left: a client that does not read must not hold the reply. */
const CONNECTION_TIMEOUT_MS = 30_000;

/**
 * Creates the HTTP server of probes and metrics. It does not listen by itself.
 * /livez shows that the event loop runs and checks nothing else, so that a failure
 * elsewhere does not get the process killed.
 */
export function createAdminHttp(sources: AdminSources): Server {
  const options = {
    keepAliveTimeout: REQUEST_TIMEOUT_MS,
  };
  const { configuredHost, requestTimeoutMs = REQUEST_TIMEOUT_MS } = sources;
  const allowsHost = configuredHost === undefined ? undefined : loopbackHostCheck(configuredHost);
  const server: Server = createServer(
    options,
    handlerFor(routesOf(sources), (host) => {
      const bound = server.address();
      const isLocal = typeof bound === "object" && bound !== null && isLoopback(bound.address);
      return !isLocal || allowsHost === undefined || allowsHost(host);
    }),
  );
  // One request per connection: pipelined requests would all be held at the same time.
  server.maxRequestsPerSocket = 1;
  // Node.js enforces its own time limits only in a server that listens itself, not behind a server that ends TLS.
  const awaited = new WeakMap<Duplex, NodeJS.Timeout>();
  server.on("connection", (socket) => {
    const timer = setTimeout(() => socket.destroy(), CONNECTION_TIMEOUT_MS).unref();
    const request = setTimeout(() => socket.destroy(), requestTimeoutMs).unref();
    awaited.set(socket, request);
    socket.once("close", () => {
      clearTimeout(timer);
      clearTimeout(request);
    });
  });
  server.on("request", ({ socket }) => clearTimeout(awaited.get(socket)));
  return server;
}

type Route = (request: IncomingMessage) => Answer | Promise<Answer>;
type Routes = ReadonlyMap<string, Route>;

function routesOf({ isReady, metrics, pages, access = () => "allowed" }: AdminSources): Routes {
  const routes = new Map<string, Route>([
    ["/livez", () => plain(200, "ok")],
    ["/readyz", () => (isReady() ? plain(200, "ok") : plain(503, "draining"))],
  ]);
  const add = (path: string, resource: Resource, make: () => Page | Promise<Page>) =>
    routes.set(path, async (request) => {
      const result = access(request, resource);
      if (result !== "allowed") return plain(result === "denied" ? 403 : 401, REQUIRED[resource]);
      return { code: 200, ...(await make()) };
    });
  if (metrics !== undefined) {
    const { contentType } = metrics;
    add("/metrics", "metrics", async () => ({ body: await metrics.metrics(), contentType }));
  }
  for (const [path, make] of pages ?? []) add(path, "pages", make);
  return routes;
}

function handlerFor(routes: Routes, allowsHost: HostCheck): RequestListener {
  return (request, response) => {
    const { method, url = "", headers } = request;
    const route = routes.get(url.split("?", 1)[0] ?? "");
    const isRead = method === "GET" || method === "HEAD";
    const answer = !allowsHost(headers.host)
      ? Promise.resolve(plain(421, WRONG_HOST))
      : isRead
        ? Promise.resolve(route?.(request) ?? plain(404, "not found"))
        : Promise.resolve(plain(405, "only GET and HEAD"));
    void answer
      .catch(() => plain(500, "internal error"))
      .then(({ code, body, contentType, headers }) => {
        response.writeHead(code, {
          ...headers,
          "content-type": contentType,
          "content-length": body.byteLength,
          "cache-control": "no-store",
          ...(isRead ? {} : { allow: "GET, HEAD" }),
          ...(code === 401 ? { "www-authenticate": CHALLENGES } : {}),
        });
        response.end(method === "HEAD" ? undefined : body);
      });
  };
}

const WRONG_HOST = "Host must be localhost, a loopback address or the host of --http";

/** A browser sends no bearer token unless a script makes the request. It asks for a name and a password. */
const CHALLENGES = ["Bearer", 'Basic realm="splitcache: the password is the token", charset="UTF-8"'];

/** What to present for each resource. */
const REQUIRED: Readonly<Record<Resource, string>> = {
  metrics:
    "metrics require the credentials of a client of role metrics, or of role operator without homeservers",
  pages: "this page requires the credentials of a client of role operator, without homeservers",
};

function plain(code: number, line: string): Answer {
  return { code, body: Buffer.from(`${line}\n`), contentType: "text/plain; charset=utf-8" };
}
