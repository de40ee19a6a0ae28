import type { LogLevel } from "../config/log-levels.js";
import { BATCH_NOTICES_MAX } from "../core/model/limits.js";
import type { HomeserverStats } from "../core/model/store.js";
import type { Position } from "../core/model/types.js";
import * as wire from "../gen/splitcache/admin/v1/admin_service.js";
import type { ConnectionView } from "../net/connection-table.js";
import { toDuration, toPosition } from "../rpc/convert/reply.js";
import type { SubscriptionState, SubscriptionView } from "../rpc/handlers/subscription-table.js";
import type { MemberPositionView, MemberView } from "./sources.js";

/** Converts the values of the sources to messages of the contract. */

export function toHomeserver(name: string, stats: HomeserverStats): wire.Homeserver {
  return {
    name,
    position: stats.position && toPosition(stats.position),
    entries: BigInt(stats.entries),
    bytes: BigInt(stats.bytes),
    hits: BigInt(stats.hits),
    misses: toCounts(stats.misses),
    changes: toCounts(stats.changes),
    subscribers: stats.subscribers,
    logChanges: stats.logChanges,
  };
}

export function toMember({ id, isSelf, isLive, joinedAtMs, homeservers, lag }: MemberView): wire.Member {
  return {
    memberId: id,
    self: isSelf,
    live: isLive,
    joinTime: joinedAtMs === undefined ? undefined : new Date(joinedAtMs),
    homeservers,
    lag: BigInt(lag),
  };
}

export function toMemberPosition(shown: MemberPositionView): wire.MemberPosition {
  return {
    homeserver: shown.homeserver,
    memberId: shown.memberId,
    applied: toPosition(shown.applied),
    head: toPosition(shown.head),
    lag: BigInt(shown.lag),
  };
}

export function toSubscriber(
  subscription: SubscriptionView,
  head: Position | undefined,
  nowMs: number,
): wire.Subscriber {
  const { homeserver, subscriber, peer = "", openedMs, cursor, state } = subscription;
  const lag = cursor === undefined || head?.epoch !== cursor.epoch ? 0 : head.sequence - cursor.sequence;
  return {
    homeserver,
    subscriber,
    peer,
    age: toDuration(Math.floor(nowMs - openedMs)),
    cursor: cursor && toPosition(cursor),
    head: head && toPosition(head),
    lag: BigInt(Math.max(0, lag)),
    waitingBatches: Math.ceil(Math.max(0, lag) / BATCH_NOTICES_MAX),
    state: SUBSCRIBER_STATES[state],
  };
}

export function toConnection(listener: string, connection: ConnectionView, nowMs: number): wire.Connection {
  const { peer = "", peerPort = 0, openedMs, calls } = connection;
  return { listener, peer, peerPort, age: toDuration(Math.floor(nowMs - openedMs)), calls };
}

export function toLogLevel(level: LogLevel): wire.LogLevel {
  return WIRE_LEVELS[level];
}

/** Returns undefined for a number that is no level. */
export function fromLogLevel(level: number): LogLevel | undefined {
  return Object.entries(WIRE_LEVELS).find(([, value]) => value === level)?.[0] as LogLevel | undefined;
}

const WIRE_LEVELS: Readonly<Record<LogLevel, wire.LogLevel>> = {
  debug: wire.LogLevel.DEBUG,
  info: wire.LogLevel.INFO,
  warn: wire.LogLevel.WARN,
  error: wire.LogLevel.ERROR,
  fatal: wire.LogLevel.FATAL,
  silent: wire.LogLevel.SILENT,
};

const SUBSCRIBER_STATES: Readonly<Record<SubscriptionState, wire.SubscriberState>> = {
  waitingForChange: wire.SubscriberState.WAITING_FOR_CHANGE,
  sending: wire.SubscriberState.SENDING,
  waitingForRoom: wire.SubscriberState.WAITING_FOR_ROOM,
};

function toCounts<Name extends string>(counts: Readonly<Record<Name, number>>): Record<Name, bigint> {
  const entries = Object.entries<number>(counts).map(([name, count]) => [name, BigInt(count)]);
  return Object.fromEntries(entries) as Record<Name, bigint>;
}
