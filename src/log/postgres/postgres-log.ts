import { randomBytes } from "node:crypto";
import type { HomeserverLog, Log, LogCopy, LogStatus } from "../port.js";
import { Acknowledgements } from "./append/acknowledgements.js";
import { Appender } from "./append/appender.js";
import { Background } from "./background/background.js";
import { Trimmer } from "./background/trim.js";
import { type LeaseClock, SuspensionClock } from "./clock.js";
import { parseNotification } from "./codec/notification.js";
import { LinkPair } from "./connection/link-pair.js";
import { describeTarget, type PostgresTarget } from "./connection/session.js";
import { FailureReport, type PostgresLogEvents } from "./failures/failure-report.js";
import { LogFailure } from "./failures/failures.js";
import { Enrolments } from "./follow/enrolments.js";
import { FollowedHomeserver } from "./follow/followed-homeserver.js";
import { FollowedHomeservers } from "./follow/followed-homeservers.js";
import { Follower } from "./follow/follower.js";
import { LogReads } from "./follow/log-reads.js";
import { Reports } from "./follow/reports.js";
import { Incarnation } from "./membership/incarnation.js";
import { MembersView } from "./membership/members-view.js";
import { Membership } from "./membership/membership.js";
import { POSTGRES_LIMITS, type PostgresLimits } from "./postgres-limits.js";
import { DEFAULT_SCHEMA } from "./schema/schema-sql.js";
import { UpState } from "./up-state.js";

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
  readonly #links: LinkPair;
  readonly #membership: Membership;
  readonly #enrolments: Enrolments;
  readonly #follower: Follower;
  readonly #acknowledgements: Acknowledgements;
  readonly #appender: Appender;
  readonly #trimmer: Trimmer;
  readonly members: MembersView;
  readonly #background: Background;
  readonly #up: UpState;
  readonly #followed = new FollowedHomeservers();
  readonly #onFailure = (error: unknown) => this.#report.failed(error);
  readonly #isOneServer = () => this.#links.isOneServer;
  #isClosed = false;

  constructor(options: PostgresLogOptions) {
    this.#limits = options.limits ?? POSTGRES_LIMITS;
    this.#schema = options.schema ?? DEFAULT_SCHEMA;
    this.#clock = options.clock ?? new SuspensionClock();
    this.#randomBytes = options.randomBytes ?? randomBytes;
    const nowMs = () => this.#clock.nowMs();
    this.#report = new FailureReport(options.events, describeTarget(options.target), nowMs);
    const { target, applicationName = "splitcache" } = options;
    this.#links = new LinkPair({
      ...this.#common,
      target,
      applicationName,
      randomBytes: this.#randomBytes,
      onNotification: (payload) => this.#notified(payload),
      onFollowUp: () => this.#followUp(),
      onFollowDown: () => this.#up.update(),
      onCallUp: () => this.#callUp(),
      onCallDown: () => this.#callDown(),
    });
    const incarnation = new Incarnation(this.#clock, this.#limits.expelAfterMs, this.#schema);
    this.#membership = this.#newMembership(incarnation);
    this.#up = new UpState(this.#clock, this.#report, () => this.#isOneServer() && this.#membership.isLive());
    this.#enrolments = new Enrolments({
      ...this.#common,
      link: this.#links.call,
      newEpoch: () => this.#randomBytes(16),
      memberId: () => this.#membership.memberId,
      onEnrolled: (followed) => this.#follower.wake(followed),
      onRefused: () => void this.#renew(),
    });
    this.#follower = new Follower({
      ...this.#common,
      link: this.#links.follow,
      reads: new LogReads(this.#links.follow, this.#schema),
      reports: new Reports({
        ...this.#common,
        link: this.#links.follow,
        memberId: () => this.#membership.memberId,
      }),
      onReachedHead: (followed) => void this.#enrolments.enrol(followed),
      onBackwards: (followed) => void this.#wentBackwards(followed),
      nowMs,
    });
    this.#acknowledgements = new Acknowledgements({ ...this.#common, link: this.#links.call, incarnation });
    this.#appender = new Appender({
      ...this.#common,
      link: this.#links.call,
      incarnation,
      acknowledgements: this.#acknowledgements,
      randomBytes: this.#randomBytes,
      createHead: (followed) => this.#enrolments.createHead(followed),
    });
    this.#trimmer = new Trimmer(this.#links.call, this.#clock, this.#limits, this.#schema);
    this.members = new MembersView({
      ...this.#common,
      link: this.#links.call,
      ownId: () => this.#membership.memberId,
      isLive: () => this.#membership.isLive(),
    });
    this.#background = this.#newBackground();
  }

  start(): void {
    this.#links.start();
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
    this.#followed.add(followed);
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
    this.#links.close();
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
      followLink: this.#links.follow,
      callLink: this.#links.call,
      randomBytes: this.#randomBytes,
      mayRenew: () => !this.#follower.isFailing && this.#isOneServer(),
      onLost: (reason) => this.#followed.drop(reason),
      onJoined: () => this.#follower.restart(this.#followed.all),
      onRevived: () => this.#followed.revive(),
    });
  }

  #newBackground(): Background {
    return new Background({
      ...this.#common,
      followLink: this.#links.follow,
      callLink: this.#links.call,
      follower: this.#follower,
      enrolments: this.#enrolments,
      trimmer: this.#trimmer,
      members: this.members,
      all: () => this.#followed.all,
      renew: () => this.#renew(),
      random: () => this.#randomBytes(1).readUInt8() / 255,
    });
  }

  #notified(payload: string): void {
    this.#background.notified();
    const { homeserver, changes } = parseNotification(payload, this.#links.follow.key);
    const followed = this.#followed.get(homeserver);
    if (followed !== undefined) this.#follower.notified(followed, changes);
  }

  #followUp(): void {
    this.#follower.restart(this.#followed.all);
    void this.#renew();
  }

  #callUp(): void {
    void this.#renew();
    void this.#background.refreshMembers();
    this.#follower.restart(this.#followed.all.filter(({ enrolment }) => enrolment === undefined));
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
    this.#followed.remove(followed);
    this.#follower.forget(followed);
    void this.#background.call(() => this.#enrolments.leave(followed));
  }
}
