/** The rules of writer leases; all hold by default, a test switches one off. */
export interface LeaseRules {
  /** Entering suspension starts a new epoch. */
  readonly epochOnEntering: boolean;
  /** Leaving suspension starts a new epoch. */
  readonly epochOnLeaving: boolean;
  /** A lease runs from the issue of the token that renewed it; otherwise from the renewal's arrival. */
  readonly leaseFromToken: boolean;
  /** A renewal without a token of the live lease ends that lease; otherwise it continues it. */
  readonly newProcessEndsLease: boolean;
  /** A release names its lease; otherwise it releases whatever lease the writer's name has. */
  readonly releaseNamesLease: boolean;
  /** A reply from an epoch in which its client has not declared is not used. */
  readonly declareFirst: boolean;
  /** Expiry is judged at the start of each call; otherwise whenever a timer fires. */
  readonly judgedAtCall: boolean;
  /** Expiry is judged before each frame of a subscription too. */
  readonly judgedAtFrame: boolean;
  /** A writer does not renew while a change has been pending for half a lease. */
  readonly pendingStopsRenewal: boolean;
  /** A change is pending from before COMMIT is sent; otherwise from COMMIT's reply. */
  readonly pendingFromSend: boolean;
  /** A detached writer renews only when the transactions that began meanwhile have ended. */
  readonly detachedTransactionsEnd: boolean;
  /** A writer forgets its lease when it detaches: it renews as a new process, and takes no late grant. */
  readonly detachedForgetsLease: boolean;
  /** A transaction that begins after a detached writer asked for a lease is announced. */
  readonly attachedFromAsking: boolean;
  /** A process changes nothing before its lease is granted. */
  readonly grantedFirst: boolean;
  /** A process asks for its first lease when no transaction of its predecessor can commit any more. */
  readonly predecessorEnded: boolean;
  /** A dead writer is released when no transaction of it can commit any more. */
  readonly releasedWriterEnded: boolean;
  /** A process does not release while it owes an announcement. */
  readonly owesNothing: boolean;
  /** Any token of the live lease renews it; otherwise only the one issued last. */
  readonly anyTokenRenews: boolean;
}

export const LEASE_RULES: LeaseRules = {
  epochOnEntering: true,
  epochOnLeaving: true,
  leaseFromToken: true,
  newProcessEndsLease: true,
  releaseNamesLease: true,
  declareFirst: true,
  judgedAtCall: true,
  judgedAtFrame: true,
  pendingStopsRenewal: true,
  pendingFromSend: true,
  detachedTransactionsEnd: true,
  detachedForgetsLease: true,
  attachedFromAsking: true,
  grantedFirst: true,
  predecessorEnded: true,
  releasedWriterEnded: true,
  owesNothing: true,
  anyTokenRenews: true,
};

export interface LeaseScope {
  /** How long a lease lasts, in ticks of the clock; even. */
  readonly leaseTicks: number;
  /** How many messages are under way at once. */
  readonly messagesMax: number;
  /** Whether there is a worker with a near cache. */
  readonly near: boolean;
}

export interface Leases {
  readonly scope: LeaseScope;
  readonly rules: LeaseRules;
}

/** When I12 says that nothing old is served any more, in ticks after the commit. */
export function settledTicks({ leaseTicks }: LeaseScope): number {
  return 2 * leaseTicks;
}

/**
 * The same for a near cache, which the bound of I12 does not cover: it may hear
 * its last frame at the end of the writer's lease, which is half a lease before
 * that bound, and serve what it holds for one lease more.
 */
export function nearSettledTicks({ leaseTicks }: LeaseScope): number {
  return (5 * leaseTicks) / 2;
}
