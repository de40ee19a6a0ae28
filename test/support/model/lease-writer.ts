import type { LeaseToken, Position, Writer } from "../../../src/core/types.js";
import { type Change, makeChange, type Plan } from "./changes.js";
import type { Home } from "./home.js";
import { type Stage, unlessLost } from "./stage.js";

/**
 * The processes that run under one writer's name, one after the other, and keep
 * the rules of a declared writer. What one of them commits is outdated nowhere
 * two leases later, whether it could announce it or not.
 */
export class LeaseWriter {
  readonly #home: Home;
  readonly #name: Writer;
  #process: Process = newProcess();

  constructor(home: Home, name: Writer) {
    this.#home = home;
    this.#name = name;
  }

  /** Asks for a lease, or for more of it; both the renewal and its reply may be late. */
  async renew(stage: Stage): Promise<void> {
    const process = this.#process;
    if (!this.#mayRenew()) return;
    // What begins from now on will be announced.
    if (process.phase === "detached") process.phase = "attached";
    const { session, token } = process;
    await stage.turn(`${this.#name}'s renewal arrives`);
    const grant = await unlessLost(this.#home.sidecar.renewWriterLease(this.#home.name, this.#name, token));
    await stage.turn(`${this.#name}'s grant arrives`);
    if (grant === undefined || process.session !== session) return;
    process.token = grant.token;
    process.phase = "attached";
  }

  /** Changes an event, if it ever got a lease; announces it only when told to. */
  async change(plan: Plan, carriesPosition: boolean, stage: Stage): Promise<void> {
    const process = this.#process;
    if (process.phase === "fresh") return;
    const announces = process.phase === "attached";
    process.open += 1;
    const asOf = carriesPosition ? await this.#home.position() : undefined;
    await stage.turn(`${this.#name} sends COMMIT of ${plan.kind}`);
    const debt: Debt = {
      change: makeChange(this.#home, plan),
      asOf,
      sinceMs: this.#nowMs,
      repliedMs: undefined,
    };
    if (announces) process.debts.add(debt);
    await stage.turn(`${this.#name}'s COMMIT of ${plan.kind} arrives`);
    process.open -= 1;
    if (process.isDead) return;
    debt.change.commit(this.#nowMs + 2 * this.#leaseMs);
    debt.repliedMs = this.#nowMs;
  }

  /** Announces what it owes. */
  async announce(stage: Stage): Promise<void> {
    const process = this.#process;
    for (const debt of [...process.debts]) {
      await stage.turn(`${this.#name}'s announcement arrives`);
      if (process.isDead || debt.repliedMs === undefined || !process.debts.has(debt)) continue;
      const isDone = await unlessLost(debt.change.announce(debt.asOf).then(() => true));
      if (isDone === true) process.debts.delete(debt);
    }
  }

  /** Gives up what it has owed for two leases: nothing old is served by now. */
  detach(): void {
    const process = this.#process;
    for (const debt of process.debts) {
      if (debt.repliedMs === undefined || this.#nowMs < debt.repliedMs + 2 * this.#leaseMs) continue;
      process.debts.delete(debt);
      process.phase = "detached";
      process.token = NO_TOKEN;
      process.session += 1;
    }
  }

  /** Stops in good order, if it owes nothing. */
  async release(stage: Stage): Promise<void> {
    const process = this.#process;
    if (process.phase !== "attached" || process.debts.size > 0 || process.open > 0) return;
    this.die();
    await stage.turn(`${this.#name}'s release arrives`);
    await unlessLost(this.#home.sidecar.releaseWriterLease(this.#home.name, this.#name, process.token));
  }

  /** Dies, and its open transactions with it; another process starts. */
  die(): void {
    this.#process.isDead = true;
    this.#process.session += 1;
    this.#process = newProcess();
  }

  get #nowMs(): number {
    return this.#home.surroundings.nowMs();
  }

  get #leaseMs(): number {
    return this.#home.surroundings.leaseMs;
  }

  #mayRenew(): boolean {
    const { phase, open, debts } = this.#process;
    if (phase === "detached" && open > 0) return false;
    return [...debts].every(({ sinceMs }) => this.#nowMs - sinceMs < this.#leaseMs / 2);
  }
}

interface Process {
  /** Fresh until its first lease is granted; detached once it has given up an announcement. */
  phase: "fresh" | "attached" | "detached";
  token: LeaseToken;
  /** Changes when grants that are under way no longer count. */
  session: number;
  /** Transactions that have not ended. */
  open: number;
  readonly debts: Set<Debt>;
  isDead: boolean;
}

/** A change that is pending: from before its COMMIT is sent until it is announced or given up. */
interface Debt {
  readonly change: Change;
  readonly asOf: Position | undefined;
  readonly sinceMs: number;
  /** When COMMIT was answered; undefined before. */
  repliedMs: number | undefined;
}

const NO_TOKEN = "" as LeaseToken;

function newProcess(): Process {
  return { phase: "fresh", token: NO_TOKEN, session: 0, open: 0, debts: new Set(), isDead: false };
}
