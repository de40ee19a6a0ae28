import { randomBytes } from "node:crypto";
import type { HomeserverLog, Log, LogCopy, LogStatus } from "../port.js";
import { Acknowledgements } from "./acknowledgements.js";
import { Appender } from "./appender.js";
import { Background } from "./background.js";
import { type LeaseClock, SuspensionClock } from "./clock.js";
import { Enrolments } from "./enrolments.js";
import { FailureReport } from "./failure-report.js";
import { LogFailure } from "./failures.js";
import { FollowedHomeserver } from "./followed-homeserver.js";
import { Follower } from "./follower.js";
import { Incarnation } from "./incarnation.js";
import type { Link } from "./link.js";
import { areOnOneServer, replaceIfApart } from "./link-pair.js";
import { newLogLink } from "./log-link.js";
import { LogReads } from "./log-reads.js";
import { MembersView } from "./members-view.js";
import { Membership } from "./membership.js";
import { parseNotification } from "./notification.js";
import { POSTGRES_LIMITS, type PostgresLimits } from "./postgres-limits.js";
import type { PostgresLogOptions } from "./postgres-log-options.js";
import { Reports } from "./reports.js";
import { DEFAULT_SCHEMA } from "./schema-sql.js";
import { describeTarget } from "./target.js";
import { Trimmer } from "./trim.js";
import { UpState } from "./up-state.js";

/**
 * The invalidation logs in PostgreSQL. Any number of sidecars follow them and act as one
 * cache. Connects in the background and never throws. Until it has joined, no copy is
 * current.
 */
export function createPostgresLog(options: PostgresLogOptions): Log {
  const log = new PostgresLog(options);
  log.start();
  return log;
}

class PostgresLog implements Log {
  readonly #limits: PostgresLimits;
  readonly #schema: string;
  readonly #clock: LeaseClock;
  readonly #report: FailureReport;
  readonly #randomBytes: (length: number) => Buffer;
  /** Runs LISTEN, reads, reports and renewals, which this sidecar's own copies need. */
  readonly #followLink: Link;
  /** Runs changes, joins and everything that waits for other members. */
  readonly #callLink: Link;
  readonly #membership: Membership;
  readonly #enrolments: Enrolments;
  readonly #follower: Follower;
  readonly #acknowledgements: Acknowledgements;
  readonly #appender: Appender;
  readonly #trimmer: Trimmer;
  readonly members: MembersView;
  readonly #background: Background;
  readonly #up: UpState;
  readonly #followed = new Map<string, FollowedHomeserver>();
  readonly #onFailure = (error: unknown) => this.#report.failed(error);
  readonly #isOneServer = () => areOnOneServer(this.#followLink, this.#callLink);
  #isClosed = false;

  constructor(options: PostgresLogOptions) {
    this.#limits = options.limits ?? POSTGRES_LIMITS;
    this.#schema = options.schema ?? DEFAULT_SCHEMA;
    this.#clock = options.clock ?? new SuspensionClock();
    this.#randomBytes = options.randomBytes ?? randomBytes;
    const nowMs = () => this.#clock.nowMs();
    this.#report = new FailureReport(options.events, describeTarget(options.target), nowMs);
    const { target, applicationName = "splitcache" } = options;
    const link = { ...this.#common, target, applicationName, randomBytes: this.#randomBytes };
    this.#followLink = newLogLink(link, {
      onNotification: (payload) => this.#notified(payload),
      onUp: () => this.#followUp(),
      onDown: () => this.#up.update(),
    });
    this.#callLink = newLogLink(link, {
      onNotification: undefined,
      onUp: () => this.#callUp(),
      onDown: () => this.#callDown(),
    });
    const incarnation = new Incarnation(this.#clock, this.#limits.expelAfterMs, this.#schema);
    this.#membership = this.#newMembership(incarnation);
    this.#up = new UpState(this.#clock, this.#report, () => this.#isOneServer() && this.#membership.isLive());
    this.#enrolments = new Enrolments({
      ...this.#common,
      link: this.#callLink,
      newEpoch: () => this.#randomBytes(16),
      memberId: () => this.#membership.memberId,
      onEnrolled: (followed) => this.#follower.wake(followed),
      onRefused: () => void this.#renew(),
    });
    this.#follower = new Follower({
      ...this.#common,
      link: this.#followLink,
      reads: new LogReads(this.#followLink, this.#schema),
      reports: new Reports({
        ...this.#common,
        link: this.#followLink,
        memberId: () => this.#membership.memberId,
      }),
      onReachedHead: (followed) => void this.#enrolments.enrol(followed),
      onBackwards: (followed) => void this.#wentBackwards(followed),
      nowMs,
    });
    this.#acknowledgements = new Acknowledgements({ ...this.#common, link: this.#callLink, incarnation });
    this.#appender = new Appender({
      ...this.#common,
      link: this.#callLink,
      incarnation,
      acknowledgements: this.#acknowledgements,
      randomBytes: this.#randomBytes,
      createHead: (followed) => this.#enrolments.createHead(followed),
    });
    this.#trimmer = new Trimmer(this.#callLink, this.#clock, this.#limits, this.#schema);
    this.members = new MembersView({
      ...this.#common,
      link: this.#callLink,
      ownId: () => this.#membership.memberId,
      isLive: () => this.#membership.isLive(),
    });
    this.#background = this.#newBackground();
  }

  start(): void {
    this.#followLink.start();
    this.#callLink.start();
    this.#background.start();
  }

  follow(copy: LogCopy): HomeserverLog {
    const followed = new FollowedHomeserver(copy, {
      limits: this.#limits,
      isLive: () => this.#membership.isLive(),
      isDown: () => this.#up.isDownFor(this.#limits.readyMs),
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
      isUp: this.#up.isUp,
      errors: this.#report.counts,
      memberCount: this.members.count,
    };
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#report.close();
    this.#background.stop();
    this.#appender.close();
    await this.#membership.close();
    this.#followLink.close();
    this.#callLink.close();
  }

  get #all(): readonly FollowedHomeserver[] {
    return [...this.#followed.values()];
  }

  /** The dependencies of nearly every part. */
  get #common() {
    const parts = { schema: this.#schema, limits: this.#limits, clock: this.#clock };
    return { ...parts, onFailure: this.#onFailure, isOneServer: this.#isOneServer };
  }

  #newMembership(incarnation: Incarnation): Membership {
    return new Membership({
      ...this.#common,
      incarnation,
      followLink: this.#followLink,
      callLink: this.#callLink,
      randomBytes: this.#randomBytes,
      mayRenew: () => !this.#follower.isFailing && this.#isOneServer(),
      onLost: (reason) => {
        for (const followed of this.#all) followed.drop(reason);
      },
      onJoined: () => this.#follower.restart(this.#all),
      onRevived: () => {
        for (const followed of this.#all) if (followed.isCurrent()) followed.becameCurrent();
      },
    });
  }

  #newBackground(): Background {
    return new Background({
      ...this.#common,
      followLink: this.#followLink,
      callLink: this.#callLink,
      follower: this.#follower,
      enrolments: this.#enrolments,
      trimmer: this.#trimmer,
      members: this.members,
      all: () => this.#all,
      renew: () => this.#renew(),
      random: () => this.#randomBytes(1).readUInt8() / 255,
    });
  }

  #notified(payload: string): void {
    this.#background.notified();
    const { homeserver, changes } = parseNotification(payload, this.#followLink.key);
    const followed = this.#followed.get(homeserver);
    if (followed !== undefined) this.#follower.notified(followed, changes);
  }

  #followUp(): void {
    replaceIfApart(this.#followLink, this.#callLink);
    this.#follower.restart(this.#all);
    void this.#renew();
  }

  #callUp(): void {
    replaceIfApart(this.#followLink, this.#callLink);
    void this.#renew();
    void this.#background.refreshMembers();
    this.#follower.restart(this.#all.filter(({ enrolment }) => enrolment === undefined));
  }

  #callDown(): void {
    this.#acknowledgements.reset();
    this.#up.update();
  }

  async #renew(): Promise<void> {
    await this.#membership.renewOrJoin();
    this.#up.update();
  }

  async #wentBackwards(followed: FollowedHomeserver): Promise<void> {
    const { position } = followed.copy;
    this.#report.failed(
      new LogFailure("backwards", `${followed.homeserver} had reached sequence ${position.sequence}`),
    );
    await this.#appender.startEpoch(followed, "database", position.epoch).catch(() => {});
  }

  #leave(followed: FollowedHomeserver): void {
    const key = followed.key.toString("hex");
    if (this.#followed.get(key) === followed) this.#followed.delete(key);
    this.#follower.forget(followed);
    void this.#background.call(() => this.#enrolments.leave(followed));
  }
}
