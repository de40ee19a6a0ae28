import { CacheError } from "../core/model/errors.js";

/** What a client may be. */
export const ROLES = ["homeserver", "reader", "operator", "metrics"] as const;

export type Role = (typeof ROLES)[number];

/** What a client may do. */
export interface Rights {
  /** For logs. */
  readonly name: string;
  readonly role: Role;
  /** The homeservers that its requests may name; undefined: any, for operators of the whole sidecar. */
  readonly homeservers: ReadonlySet<string> | undefined;
}

/**
 * The holder of one credential, as its calls know it. A reload of the auth file changes its rights,
 * also for calls that are open.
 */
export interface Principal {
  /** Undefined: the credential is no longer valid. */
  readonly rights: Rights | undefined;
}

/** Whether requests of a client may name this homeserver. */
export function mayName({ rights }: Principal, homeserver: string): boolean {
  return rights !== undefined && (rights.homeservers?.has(homeserver) ?? true);
}

/** Whether a client gets what readers get: redacted events, without internal metadata and rejected events. */
export function isReader(principal: Principal | undefined): boolean {
  return principal !== undefined && principal.rights?.role !== "homeserver";
}

const EVENT_CACHE = "/splitcache.v1.EventCacheService/";
const ADMIN = "/splitcache.admin.v1.AdminService/";
const HEALTH = "/grpc.health.v1.Health/";

const REFLECTION = ["/grpc.reflection.v1.ServerReflection/", "/grpc.reflection.v1alpha.ServerReflection/"];

const READ_METHODS = ["GetEvents", "GetEventsStream", "Subscribe"] as const;
const PURGE_METHODS = ["InvalidateEvents", "PurgeRoom", "PurgeHomeserver"] as const;

/** A method that is not listed is for nobody. */
const METHODS: Readonly<Record<Exclude<Role, "metrics">, ReadonlySet<string>>> = {
  homeserver: methods(
    ...READ_METHODS,
    ...PURGE_METHODS,
    ...["PutEvent", "PutEvents", "SetRedaction", "SetRejected"],
  ),
  reader: methods(...READ_METHODS),
  operator: methods(...PURGE_METHODS),
};

/** Whether a method needs no credentials: probes have none. */
export function isOpen(path: string): boolean {
  return path.startsWith(HEALTH);
}

/** Why a client may not make a call of this method, or undefined. A reload can give another answer for an open call. */
export function callRefusal(principal: Principal, path: string): CacheError | undefined {
  const { rights } = principal;
  if (rights === undefined) {
    return new CacheError("unauthenticated", "the credentials of this call are no longer valid");
  }
  if (path.startsWith(ADMIN) ? mayAdministrate(principal) : mayCall(rights.role, path)) return undefined;
  const bounds = rights.role === "operator" && rights.homeservers !== undefined ? " with homeservers" : "";
  return new CacheError(
    "permissionDenied",
    `a client of role ${rights.role}${bounds} may not make this call`,
  );
}

/** Whether a client may use AdminService and read the status page, which are about all homeservers. */
export function mayAdministrate({ rights }: Principal): boolean {
  return rights?.role === "operator" && rights.homeservers === undefined;
}

/** Whether a client may read /metrics, which name all homeservers. */
export function mayReadMetrics(principal: Principal): boolean {
  return principal.rights?.role === "metrics" || mayAdministrate(principal);
}

/** Whether a role may call a method. Reflection shows nothing but the contract, so every role but metrics may use it. */
function mayCall(role: Role, path: string): boolean {
  // Prometheus keeps the credential. A reader of its configuration must not be able to call anything.
  if (role === "metrics") return false;
  return METHODS[role].has(path) || REFLECTION.some((service) => path.startsWith(service));
}

function methods(...names: readonly string[]): ReadonlySet<string> {
  return new Set(names.map((name) => EVENT_CACHE + name));
}
