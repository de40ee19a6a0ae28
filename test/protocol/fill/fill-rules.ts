/** The rules of writes; all hold by default, a test switches one off. */
export interface FillRules {
  /** A write is refused if its event was changed after `as_of`. */
  readonly fence: boolean;
  /** The fence is read from the log; otherwise from the entry, and leaves with it. */
  readonly fenceInLog: boolean;
  /** A write is refused if its `as_of` is older than the log reaches. */
  readonly tooOld: boolean;
  /** A write is refused if its `as_of` is of another epoch. */
  readonly epoch: boolean;
  /** A Set… that is refused drops the entry; otherwise it writes its value all the same. */
  readonly dropFenced: boolean;
  /** A writer calls after its commit; otherwise before it, and not again. */
  readonly callAfterCommit: boolean;
  /** A reader takes `as_of` before its database snapshot; otherwise after it. */
  readonly asOfBeforeSnapshot: boolean;
}

export const FILL_RULES: FillRules = {
  fence: true,
  fenceInLog: true,
  tooOld: true,
  epoch: true,
  dropFenced: true,
  callAfterCommit: true,
  asOfBeforeSnapshot: true,
};

export interface FillScope {
  /** How many changes the log holds. */
  readonly ring: number;
  /** How many events the room has, 1 or 2. */
  readonly events: number;
  /** The change that each writer makes, once. Writers with the same Change object are alike. */
  readonly writers: readonly Change[];
  /** The event that each reader fills, once. */
  readonly readers: readonly number[];
  readonly restarts: number;
}

/** What a writer changes and how it announces it. `set` carries `as_of`, `setOnly` does not. */
export type Change =
  | { readonly call: "set" | "setOnly"; readonly event: number; readonly part: Part }
  | { readonly call: "invalidate"; readonly event: number }
  | { readonly call: "purgeRoom" };

/** Redaction and rejection: a Set… writes one of them and leaves the other. */
export type Part = 0 | 1;

export interface Fills {
  readonly scope: FillScope;
  readonly rules: FillRules;
}
