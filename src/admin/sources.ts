import type { LogLevel } from "../config/log-levels.js";
import type { EventStore } from "../core/model/store.js";
import type { Position } from "../core/model/types.js";
import type { ConnectionView } from "../net/connection-table.js";
import type { SubscriptionView } from "../rpc/handlers/subscription-table.js";

/** The parts of the process that AdminService shows and changes. */
export interface AdminSources {
  readonly store: Pick<EventStore, "stats">;
  readonly members: MemberSource;
  /** The oldest first. */
  readonly subscriptions: Iterable<SubscriptionView>;
  /** The connections of each kind of listener, the oldest first. */
  readonly connections: Readonly<Record<string, { list(): Iterable<ConnectionView> }>>;
  /** The level of the log. */
  readonly logger: { level: LogLevel };
  readonly service: ServiceControl;
}

/** Drains and undrains the sidecar. */
export interface ServiceControl {
  drain(): void;
  /** Throws a CacheError of kind `unavailable` while the process stops. */
  undrain(): void;
  /** The calls that are in progress. */
  usage(): { readonly calls: number; readonly readStreams: number; readonly subscribers: number };
}

/** The members of the invalidation log: see `LogMembers` in src/log/port.ts. */
export interface MemberSource {
  list(page: { readonly afterId: string; readonly limit: number }): Promise<readonly MemberView[]>;
  positions(page: PositionsPage): Promise<readonly MemberPositionView[]>;
}

export interface PositionsPage {
  readonly after: { readonly homeserver: string; readonly memberId: string } | undefined;
  readonly limit: number;
  readonly homeserver: string | undefined;
  readonly memberId: string | undefined;
}

export interface MemberView {
  readonly id: string;
  readonly isSelf: boolean;
  readonly isLive: boolean;
  readonly joinedAtMs: number | undefined;
  readonly homeservers: number;
  readonly lag: number;
}

export interface MemberPositionView {
  readonly homeserver: string;
  readonly memberId: string;
  readonly applied: Position;
  readonly head: Position;
  readonly lag: number;
}
