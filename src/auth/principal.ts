/** What a client may be. */
export const ROLES = ["homeserver", "reader", "operator"] as const;

export type Role = (typeof ROLES)[number];

/** What a client may do. */
export interface Rights {
  /** For logs. */
  readonly name: string;
  readonly role: Role;
  /** The homeservers that its requests may name; undefined: any, for operators. */
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

const READER_METHODS = methods("GetEvents", "GetEventsStream", "Subscribe");
const OPERATOR_METHODS = methods("InvalidateEvents", "PurgeRoom", "PurgeHomeserver");

/** Whether a method needs no credentials: probes have none. */
export function isOpen(path: string): boolean {
  return path.startsWith(HEALTH);
}

/** Whether a role may call a method. Reflection shows nothing but the contract, so each role may use it. */
export function mayCall(role: Role, path: string): boolean {
  if (path.startsWith(ADMIN)) return role === "operator";
  if (!path.startsWith(EVENT_CACHE) || role === "homeserver") return true;
  return (role === "reader" ? READER_METHODS : OPERATOR_METHODS).has(path);
}

function methods(...names: readonly string[]): ReadonlySet<string> {
  return new Set(names.map((name) => EVENT_CACHE + name));
}
