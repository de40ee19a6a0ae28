import type { LeaseToken, Writer } from "../../../src/core/types.js";

/** The leases of one homeserver's writers, as the contract tells of them. */
export class ReferenceLeases {
  readonly #writers = new Map<Writer, Standing>();
  readonly #durationMs: number;

  constructor(durationMs: number) {
    this.#durationMs = durationMs;
  }

  get names(): number {
    return this.#writers.size;
  }

  /** Whether a writer neither holds a live lease nor has released it. */
  isSuspended(nowMs: number): boolean {
    return [...this.#writers.values()].some(({ released, expiresAtMs }) => !released && nowMs >= expiresAtMs);
  }

  declare(writers: readonly Writer[]): void {
    for (const writer of writers) this.#of(writer);
  }

  /** Whether a renewal with this token comes from the process that holds the writer's live lease. */
  continues(writer: Writer, token: LeaseToken, nowMs: number): boolean {
    const { issued, released, expiresAtMs } = this.#of(writer);
    return !released && nowMs < expiresAtMs && issued.slice(-TOKENS_KNOWN).some((one) => one.token === token);
  }

  /** Ends a live lease: another process has come under its name. */
  end(writer: Writer): void {
    const standing = this.#of(writer);
    if (!standing.released) standing.expiresAtMs = NEVER_LEASED;
  }

  /** A renewal that was answered with a new token. */
  renew(writer: Writer, carried: LeaseToken, answered: LeaseToken, nowMs: number): void {
    const standing = this.#of(writer);
    const from = this.continues(writer, carried, nowMs)
      ? standing.issued.find(({ token }) => token === carried)!.atMs
      : undefined;
    if (from === undefined) standing.issued = [];
    standing.issued.push({ token: answered, atMs: nowMs });
    standing.released = false;
    standing.expiresAtMs = Math.max(
      from === undefined ? 0 : standing.expiresAtMs,
      (from ?? nowMs) + this.#durationMs,
    );
  }

  release(writer: Writer, token: LeaseToken): void {
    const standing = this.#writers.get(writer);
    if (standing === undefined) return;
    const { issued } = standing;
    const isNamed =
      issued.length === 0 ? token === "" : issued.slice(-TOKENS_KNOWN).some((one) => one.token === token);
    if (isNamed) standing.released = true;
  }

  #of(writer: Writer): Standing {
    const known = this.#writers.get(writer);
    if (known !== undefined) return known;
    const standing: Standing = { issued: [], expiresAtMs: NEVER_LEASED, released: false };
    this.#writers.set(writer, standing);
    return standing;
  }
}

interface Standing {
  /** The tokens of the last lease, oldest first; none before the first lease. */
  issued: { readonly token: LeaseToken; readonly atMs: number }[];
  expiresAtMs: number;
  released: boolean;
}

const NEVER_LEASED = 0;
/** A store may forget older tokens of a lease. */
const TOKENS_KNOWN = 8;
