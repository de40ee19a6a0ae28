import type { Script } from "./scripts.js";

/**
 * The way to Redis: what the store needs of a client library, and no more. Every
 * call settles within the time limits of redis-limits.ts, and rejects with a
 * RedisTrouble if the server did not do it, or may not have.
 */
export interface RedisLink {
  /** Runs a script on the primary that has its keys, all in one slot. */
  run(script: Script, keys: readonly string[], args: readonly ScriptArgument[]): Promise<unknown>;
  /**
   * Runs a script on the primary that has the key, then waits there until as many
   * replicas as `replicas` makes of its reply have acknowledged what it wrote.
   */
  prove(call: ProofCall): Promise<Proven>;
  /** Values of any slots; undefined for what is not there, or cannot be had while others can. */
  getValues(keys: readonly string[]): Promise<readonly (Buffer | undefined)[]>;
  /** Sets values of any slots: as many as can be, if that is any. */
  setValues(values: ReadonlyMap<string, Buffer>, ttlMs: number): Promise<void>;
  /** Calls back for each message on a sharded channel, until `unfollow`; messages may be lost. */
  follow(channel: string, onMessage: OnMessage): void;
  unfollow(channel: string): void;
  close(): Promise<void>;
}

export type OnMessage = (message: string) => void;

export type ScriptArgument = string | Buffer;

export interface ProofCall {
  readonly script: Script;
  readonly key: string;
  readonly args: readonly ScriptArgument[];
  readonly replicas: (reply: unknown) => number;
}

export interface Proven {
  readonly reply: unknown;
  /** Replicas that have acknowledged it, at least. */
  readonly acknowledged: number;
}

/** What the operator is told of the way to Redis. */
export interface RedisLog {
  connected(address: string): void;
  disconnected(address: string, reason: string): void;
  /** A call failed, or a part of it; also for want of a connection. */
  trouble(kind: TroubleKind, message: string): void;
  /** From now on reads may hit and writes succeed, or not any more. */
  wellnessChanged(isWell: boolean): void;
}

/** Why Redis did not answer as it should: the label values of a metric. */
export const TROUBLE_KINDS = [
  "disconnected",
  "timeout",
  "overload",
  "full",
  "no_replicas",
  "not_primary",
  "loading",
  "moving",
  "denied",
  "busy",
  "clock",
  "other",
] as const;

export type TroubleKind = (typeof TROUBLE_KINDS)[number];

export class RedisTrouble extends Error {
  readonly kind: TroubleKind;

  constructor(kind: TroubleKind, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = "RedisTrouble";
    this.kind = kind;
  }
}
