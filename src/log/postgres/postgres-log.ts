import { randomBytes } from "node:crypto";
import type { HomeserverLog, Log, LogCopy, LogStatus } from "../port.js";
import { Acknowledgements } from "./acknowledgements.js";
import { Appender } from "./appender.js";
import { type LeaseClock, SuspensionClock } from "./clock.js";
import { Enrolments } from "./enrolments.js";
import { FailureReport, type PostgresLogEvents } from "./failure-report.js";
import { LogFailure } from "./failures.js";
import { FollowedHomeserver } from "./followed-homeserver.js";
import { Follower } from "./follower.js";
import { Incarnation } from "./incarnation.js";
import { Link } from "./link.js";
import { MembersView } from "./members-view.js";
import { Membership } from "./membership.js";
import { parseNotification } from "./notification.js";
import { openLogSession } from "./open-log-session.js";
import { POSTGRES_LIMITS, type PostgresLimits } from "./postgres-limits.js";
import { DEFAULT_SCHEMA } from "./schema-sql.js";
import { describeTarget, type PostgresTarget } from "./target.js";
import { Trimmer } from "./trim.js";

export interface PostgresLogOptions {
  readonly target: PostgresTarget;
  /** The schema that holds the tables; also the channel of notifications. */
  readonly schema?: string;
  readonly events: PostgresLogEvents;
  /** How this sidecar's connections are named in pg_stat_activity. */
  readonly applicationName?: string;
  readonly limits?: PostgresLimits;
  readonly clock?: LeaseClock;
  readonly randomBytes?: (length: number) => Buffer;
}

/**
 * The invalidation logs in PostgreSQL: any number of sidecars follow them and are one
 * cache. Connects in the background and never throws; until it has joined, no copy is
 * current. ARCHITECTURE.md names the rules that each part keeps.
 */
export function createPostgresLog(options: PostgresLogOptions): Log {
  const log = new PostgresLog(options);
  log.start();
  return log;
}

class PostgresLog implements Log {
  readonly #limits: PostgresLimits;
  readonly #clock: LeaseClock;
  readonly #report: FailureReport;
  /** LISTEN, reads, reports and renewals: what this sidecar's own copies need. */
  readonly #followLink: Link;
  /** Changes, joins and all that waits for others. */
  readonly #callLink: Link;
  readonly #membership: Membership;
  readonly #enrolments: Enrolments;
  readonly #follower: Follower;
  readonly #acknowledgements: Acknowledgements;
  readonly #appender: Appender;
  readonly #trimmer: Trimmer;
  readonly #members: MembersView;
  readonly #followed = new Map<string, FollowedHomeserver>();
  readonly #timers: NodeJS.Timeout[] = [];
  readonly #enrolling = new Set<FollowedHomeserver>();
  #downSinceMs: number;
  #isClosed = false;

  constructor(options: PostgresLogOptions) {
    const { target, events, schema = DEFAULT_SCHEMA, applicationName = "splitcache" } = options;
    const limits = options.limits ?? POSTGRES_LIMITS;
    const clock = options.clock ?? new SuspensionClock();
    const random = options.randomBytes ?? randomBytes;
    this.#limits = limits;
    this.#clock = clock;
    this.#downSinceMs = clock.nowMs();
    const report = new FailureReport(events, describeTarget(target), () => clock.nowMs());
    this.#report = report;
    const onFailure = (error: unknown) => void report.failed(error);
    const link = (listens: boolean, onUp: () => void, onDown: () => void) =>
      new Link({
        limits,
        open: (onEnd) =>
          openLogSession({
            target,
            limits,
            schema,
            applicationName,
            onEnd,
            nonce: random(8).toString("hex"),
            onNotification: listens ? (payload) => this.#notified(payload) : undefined,
          }),
        onUp,
        onDown,
        onFailure,
        random: () => random(1).readUInt8() / 255,
        nowMs: () => clock.nowMs(),
      });
    this.#followLink = link(
      true,
      () => this.#followUp(),
      () => this.#updateUp(),
    );
    this.#callLink = link(
      false,
      () => this.#callUp(),
      () => this.#callDown(),
    );
    const shared = { schema, limits, clock, onFailure };
    const incarnation = new Incarnation(clock, limits.expelAfterMs, schema);
    this.#enrolments = new Enrolments(this.#callLink, schema, () => random(16));
    this.#membership = new Membership({
      ...shared,
      incarnation,
      followLink: this.#followLink,
      callLink: this.#callLink,
      randomBytes: random,
      mayRenew: () => !this.#follower.isFailing,
      onLost: (reason) => this.#eachFollowed((followed) => followed.drop(reason)),
      onJoined: () => this.#follower.restart(this.#all),
      onRevived: () => this.#eachFollowed((followed) => followed.isCurrent() && followed.becameCurrent()),
    });
    this.#follower = new Follower({
      link: this.#followLink,
      schema,
      memberId: () => this.#membership.memberId,
      onReachedHead: (followed) => void this.#enrol(followed),
      onBackwards: (followed) => void this.#wentBackwards(followed),
      onFailure,
      nowMs: () => clock.nowMs(),
    });
    this.#acknowledgements = new Acknowledgements({ ...shared, link: this.#callLink, incarnation });
    this.#appender = new Appender({
      ...shared,
      link: this.#callLink,
      incarnation,
      acknowledgements: this.#acknowledgements,
      randomBytes: random,
      createHead: (followed) => this.#enrolments.createHead(followed),
    });
    this.#trimmer = new Trimmer(this.#callLink, clock, limits, schema);
    this.#members = new MembersView(this.#callLink, schema);
  }

  start(): void {
    const { renewMs, pollMs, trimIntervalMs, membersIntervalMs } = this.#limits;
    this.#followLink.start();
    this.#callLink.start();
    this.#every(renewMs, () => this.#renew());
    this.#every(pollMs, () => this.#poll());
    // Sidecars that start together do not trim together.
    this.#every(trimIntervalMs * (1 + Math.random()), () =>
      this.#onCallLink(() => this.#trimmer.run(this.#all)),
    );
    this.#every(membersIntervalMs, () => this.#onCallLink(() => this.#refreshMembers()));
  }

  follow(copy: LogCopy): HomeserverLog {
    const followed = new FollowedHomeserver(copy, {
      limits: this.#limits,
      isLive: () => this.#membership.isLive(),
      isDown: () => this.#isDown(),
      append: (target, change, apply) => this.#appender.append(target, change, apply),
      startEpoch: (target) => this.#appender.startEpoch(target, "asked"),
      wake: (target) => this.#follower.wake(target),
      leave: (target) => this.#leave(target),
    });
    this.#followed.set(followed.key.toString("hex"), followed);
    this.#follower.wake(followed);
    return followed;
  }

  status(): LogStatus {
    return {
      isUp: this.#isUp,
      errors: this.#report.counts,
      members: this.#members.members(this.#membership.memberId),
    };
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#report.close();
    for (const timer of this.#timers) clearInterval(timer);
    this.#appender.close();
    await this.#membership.close();
    this.#followLink.close();
    this.#callLink.close();
  }

  get #all(): readonly FollowedHomeserver[] {
    return [...this.#followed.values()];
  }

  get #isUp(): boolean {
    return this.#followLink.isUp && this.#callLink.isUp && this.#membership.isLive();
  }

  /** While the log is down for longer than anybody waits, nobody need wait at all. */
  #isDown(): boolean {
    return !this.#isUp && this.#clock.nowMs() - this.#downSinceMs > this.#limits.readyMs;
  }

  #notified(payload: string): void {
    const { homeserver, changes } = parseNotification(payload);
    const followed = this.#followed.get(homeserver);
    if (followed !== undefined) this.#follower.notified(followed, changes);
  }

  #followUp(): void {
    this.#follower.restart(this.#all);
    void this.#renew();
  }

  #callUp(): void {
    this.#trimmer.reset();
    void this.#renew();
    this.#follower.restart(this.#all.filter(({ enrolment }) => enrolment === undefined));
  }

  #callDown(): void {
    this.#acknowledgements.reset();
    this.#updateUp();
  }

  async #renew(): Promise<void> {
    await this.#membership.renewOrJoin();
    this.#updateUp();
  }

  #updateUp(): void {
    const isUp = this.#isUp;
    if (isUp) this.#downSinceMs = this.#clock.nowMs();
    this.#report.setUp(isUp);
  }

  async #poll(): Promise<void> {
    if (!this.#followLink.isUp) return;
    try {
      for (const followed of this.#all) if (!followed.isLoaded) this.#follower.wake(followed);
      await this.#follower.poll(this.#all);
    } catch (error) {
      this.#followLink.replace(error);
    }
  }

  async #refreshMembers(): Promise<void> {
    const { memberId } = this.#membership;
    if (memberId !== undefined) await this.#enrolments.sweep(this.#all, memberId);
    await this.#members.refresh(this.#all);
  }

  async #enrol(followed: FollowedHomeserver): Promise<void> {
    const { memberId } = this.#membership;
    if (memberId === undefined || !this.#callLink.isUp || this.#enrolling.has(followed)) return;
    this.#enrolling.add(followed);
    try {
      const enrolment = await this.#enrolments.enrol(followed, memberId);
      if (enrolment === undefined) return void this.#renew();
      if (this.#membership.memberId !== memberId || followed.hasLeft) return;
      followed.enrolment = enrolment;
      this.#follower.wake(followed);
    } catch (error) {
      if (this.#callLink.isUp) this.#report.failed(error);
    } finally {
      this.#enrolling.delete(followed);
    }
  }

  async #wentBackwards(followed: FollowedHomeserver): Promise<void> {
    const { position } = followed.copy;
    this.#report.failed(
      new LogFailure("backwards", `${followed.homeserver} had reached sequence ${position.sequence}`),
    );
    await this.#appender.startEpoch(followed, "database", position).catch(() => {});
  }

  #leave(followed: FollowedHomeserver): void {
    const key = followed.key.toString("hex");
    if (this.#followed.get(key) === followed) this.#followed.delete(key);
    this.#follower.forget(followed);
    const memberId = followed.enrolment?.memberId;
    if (memberId !== undefined) void this.#onCallLink(() => this.#enrolments.leave(followed, memberId));
  }

  #eachFollowed(run: (followed: FollowedHomeserver) => unknown): void {
    for (const followed of this.#followed.values()) run(followed);
  }

  /** Runs background work that may fail: it is done again later. */
  async #onCallLink(work: () => Promise<void>): Promise<void> {
    if (!this.#callLink.isUp) return;
    try {
      await work();
    } catch (error) {
      if (this.#callLink.isUp) this.#report.failed(error);
    }
  }

  #every(intervalMs: number, run: () => Promise<void>): void {
    this.#timers.push(setInterval(() => void run(), intervalMs));
  }
}
