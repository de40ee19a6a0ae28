/** The rules of subscriptions and near caches; all hold by default, a test switches one off. */
export interface SubscriptionRules {
  /** A reply is kept only if no notice later than its position, already applied, names its event. */
  readonly replyChecked: boolean;
  /** A reply is kept only if it is of the epoch that the client follows. */
  readonly replyEpoch: boolean;
  /** A Reset, or a Ready that does not resume, counts as a notice that names everything. */
  readonly resetNamesAll: boolean;
  /** A subscriber that resumes after what the log reaches is Reset. */
  readonly resumeTooOld: boolean;
  /** A subscriber that resumes after a position of another epoch is Reset. */
  readonly resumeEpoch: boolean;
  /** A subscriber whose cursor the log has passed is Reset. */
  readonly cursorTooOld: boolean;
  /** Registering and taking the position is one step; otherwise the position comes first. */
  readonly registerAtOnce: boolean;
  /** A reply's position is taken before the lookup; otherwise after it. */
  readonly positionFirst: boolean;
  /** Progress names the subscriber's place in the log; otherwise the log's head. */
  readonly progressOfCursor: boolean;
}

export const SUBSCRIPTION_RULES: SubscriptionRules = {
  replyChecked: true,
  replyEpoch: true,
  resetNamesAll: true,
  resumeTooOld: true,
  resumeEpoch: true,
  cursorTooOld: true,
  registerAtOnce: true,
  positionFirst: true,
  progressOfCursor: true,
};

export interface SubscriptionScope {
  /** How many changes the log holds. */
  readonly ring: number;
  /** How many changes there are, in all epochs together. */
  readonly changes: number;
  readonly epochs: number;
  readonly disconnects: number;
  /** How many frames are under way at once. */
  readonly frames: number;
  /** How many reads the client has under way at once. */
  readonly reads: number;
}

export interface Subscription {
  readonly scope: SubscriptionScope;
  readonly rules: SubscriptionRules;
}
