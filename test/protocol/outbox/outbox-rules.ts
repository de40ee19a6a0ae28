/** The rules of the outbox and its gate (DESIGN O1 to O10); all hold by default, a test switches one off. */
export interface OutboxRules {
  /** O1: a transaction inserts its row itself; otherwise the row follows in a transaction of its own. */
  readonly rowInTransaction: boolean;
  /** O1: the ID of a row is never used again; otherwise the lowest free one is. */
  readonly idsAreFresh: boolean;
  /** O2: an announcement counts for a row only if it was sent after COMMIT's reply, or after a poll showed the row. */
  readonly announcesAfterReply: boolean;
  /** O3: a poll shows all rows; otherwise one of them, and counts as successful. */
  readonly pollsShowAll: boolean;
  /** O3: a poll's time is when it was sent; otherwise when it was received. */
  readonly pollFromSend: boolean;
  /** O4: a row is as old as the last poll that did not show it; otherwise as the first poll that did. */
  readonly ageFromAbsence: boolean;
  /** O4: a row is deleted after its announcement was OK; otherwise when it is sent. */
  readonly deletesAfterOk: boolean;
  /** O5: the gate needs a poll younger than G. */
  readonly pollYoung: boolean;
  /** O5: … and every row that others owe younger than A. */
  readonly rowsYoung: boolean;
  /** O5: the gate is judged whenever it matters; otherwise at polls. */
  readonly judgedAlways: boolean;
  /** O6: the gate is judged when a lookup is sent; otherwise when its reply is used. */
  readonly judgedWhenSent: boolean;
  /** O6: a reply is used only if its lookup is younger than D. */
  readonly replyYoung: boolean;
  /** O7: a write whose announcement is not OK returns after T = max(G, A); otherwise at once. */
  readonly returnsLate: boolean;
  /** O8: a poll compares the database's generation; a different generation closes the gate until all is purged. */
  readonly generationCompared: boolean;
  /** O8, an addition: a restored database has another generation, also if no process remembers its counter. */
  readonly restoreShows: boolean;
  /** O8: a fill counts only if its connection has shown the generation of the last poll. */
  readonly fillsOfGeneration: boolean;
  /** O8, an addition: the purge for a new generation begins a new epoch. */
  readonly generationNewEpoch: boolean;
  /** O9: a process uses only replies of the registered epoch. */
  readonly usesRegistered: boolean;
  /** O9: it fills only with positions of the epoch that was registered when it got them. */
  readonly fillsRegistered: boolean;
  /** O9: it deletes a row only where the epoch of its OK is registered. */
  readonly deletesRegistered: boolean;
  /** O9: it forgets what it has announced when the epoch changes. */
  readonly forgetsAnnounced: boolean;
  /** O9: a superseded epoch is never registered again. */
  readonly supersededStays: boolean;
  /** O9: an OK counts once its epoch has been registered for G … */
  readonly okWaits: boolean;
  /** O9: … and once the row is deleted under that epoch. */
  readonly okNeedsDeletion: boolean;
  /** O10: polls read the primary. */
  readonly pollsPrimary: boolean;
  /** O10: fills read the primary. */
  readonly fillsPrimary: boolean;
  /** Near caches: what is kept is used only after a position request has been answered and applied. */
  readonly nearNeedsProof: boolean;
  /** … that was sent while the gate was open. */
  readonly nearProofOpen: boolean;
  /** … and is younger than N. */
  readonly nearProofYoung: boolean;
}

export const OUTBOX_RULES: OutboxRules = {
  rowInTransaction: true,
  idsAreFresh: true,
  announcesAfterReply: true,
  pollsShowAll: true,
  pollFromSend: true,
  ageFromAbsence: true,
  deletesAfterOk: true,
  pollYoung: true,
  rowsYoung: true,
  judgedAlways: true,
  judgedWhenSent: true,
  replyYoung: true,
  returnsLate: true,
  generationCompared: true,
  restoreShows: true,
  fillsOfGeneration: true,
  generationNewEpoch: true,
  usesRegistered: true,
  fillsRegistered: true,
  deletesRegistered: true,
  forgetsAnnounced: true,
  supersededStays: true,
  okWaits: true,
  okNeedsDeletion: true,
  pollsPrimary: true,
  fillsPrimary: true,
  nearNeedsProof: true,
  nearProofOpen: true,
  nearProofYoung: true,
};

/** A `writer` changes the event and announces it; a `reader` polls, relays, looks up and fills; `near` also keeps. */
export type ProcessRole = "writer" | "reader" | "near" | "both";

export interface OutboxScope {
  readonly processes: readonly ProcessRole[];
  readonly sidecars: 1 | 2;
  readonly commits: number;
  /** The first of them is under way at the start, and its process is gone. */
  readonly straggler: boolean;
  /** Writes return to their users. */
  readonly returns: boolean;
  /** G, A, D and N in ticks. */
  readonly gate: number;
  readonly age: number;
  readonly reply: number;
  readonly near: number;
  /** How often processes die, and sidecars. */
  readonly deaths: number;
  readonly sidecarDeaths: number;
  /** How often another epoch is registered, and begun by PurgeHomeserver. */
  readonly registrations: number;
  readonly newEpochs: number;
  /** How often the database fails over to an earlier state; whether the old primary still answers fills. */
  readonly failovers: number;
  readonly oldPrimary: boolean;
}

export interface Outbox {
  readonly scope: OutboxScope;
  readonly rules: OutboxRules;
}

/** max(G, A): what every lookup sent later sees; also T. */
export function boundTicks({ gate, age }: OutboxScope): number {
  return Math.max(gate, age);
}
