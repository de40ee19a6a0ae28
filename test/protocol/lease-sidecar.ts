import type { Leases } from "./lease-rules.js";
import {
  CURRENT,
  FOREIGN,
  type LeaseState,
  mapTokens,
  NO_COPY,
  type Sidecar,
  type Token,
} from "./lease-state.js";

/** Reads all miss and puts are refused. Does not judge expiry: see `judged`. */
export function suspended({ declared, lease }: Sidecar): boolean {
  return declared && (lease === "none" || lease === "lapsed");
}

/** What a call finds when it starts: a lease that has run out is lapsed. */
export function judged(leases: Leases, state: LeaseState): LeaseState {
  return leases.rules.judgedAtCall ? expired(leases, state) : state;
}

/** The same for the next frame of a subscription. */
export function judgedAtFrame(leases: Leases, state: LeaseState): LeaseState {
  return leases.rules.judgedAtFrame ? judged(leases, state) : state;
}

/** The lease is lapsed if its time is over. */
export function expired(leases: Leases, state: LeaseState): LeaseState {
  const { lease, leaseAge } = state.sidecar;
  if (lease !== "live" || leaseAge < leases.scope.leaseTicks) return state;
  return changeLease(leases, state, { lease: "lapsed", leaseAge: 0 });
}

/** DeclareWriters. */
export function declare(leases: Leases, state: LeaseState): LeaseState {
  const after = changeLease(leases, judged(leases, state), { declared: true });
  return { ...after, reader: { ...after.reader, declared: true } };
}

/** RenewWriterLease; returns the token of its reply too. */
export function renew(leases: Leases, state: LeaseState, token: Token): [LeaseState, Token] {
  const { anyTokenRenews, leaseFromToken, newProcessEndsLease } = leases.rules;
  const before = judged(leases, state);
  const { lease, leaseAge } = before.sidecar;
  const issued: Token = { age: 0, newest: !anyTokenRenews };
  const ofLiveLease = lease === "live" && token.age >= 0 && (anyTokenRenews || token.newest);
  if (ofLiveLease || (lease === "live" && !newProcessEndsLease)) {
    const runsFrom = leaseFromToken && ofLiveLease ? Math.min(leaseAge, token.age) : 0;
    const others = mapTokens(before, (other) => (other.newest ? { ...other, newest: false } : other));
    return [{ ...others, sidecar: { ...others.sidecar, leaseAge: runsFrom } }, issued];
  }
  const ended = changeLease(leases, before, {
    declared: true,
    ...(lease === "live" && { lease: "lapsed", leaseAge: 0 }),
  });
  const granted = changeLease(leases, ended, { lease: "live", leaseAge: 0 });
  return [mapTokens(granted, () => FOREIGN), issued];
}

/** ReleaseWriterLease with the token of a lease. */
export function release(leases: Leases, state: LeaseState, token: Token): LeaseState {
  const before = judged(leases, state);
  if (leases.rules.releaseNamesLease && token.age < 0) return before;
  return changeLease(leases, before, { lease: "released", leaseAge: 0 });
}

/** ReleaseWriterLease with an empty token. */
export function releaseUnleased(leases: Leases, state: LeaseState): LeaseState {
  const before = judged(leases, state);
  if (leases.rules.releaseNamesLease && before.sidecar.lease !== "none") return before;
  return changeLease(leases, before, { lease: "released", leaseAge: 0 });
}

/** PutEvent of what the reader read; its position is good, or it would have none. */
export function put(leases: Leases, state: LeaseState): LeaseState {
  const { sidecar, reader, ...rest } = judged(leases, state);
  if (reader.phase !== "read") return { ...rest, sidecar, reader };
  return {
    ...rest,
    sidecar: suspended(sidecar) ? sidecar : { ...sidecar, entry: reader.copy },
    reader: { ...reader, phase: "idle", copy: NO_COPY },
  };
}

/** An announcement: the entry is dropped, earlier positions are fenced, subscribers are told. */
export function announce(leases: Leases, state: LeaseState): LeaseState {
  const { sidecar, reader, near, ...rest } = judged(leases, state);
  return {
    ...rest,
    sidecar: { ...sidecar, entry: NO_COPY },
    reader: { ...reader, phase: "idle", copy: NO_COPY },
    near: { ...near, outdated: near.copy !== NO_COPY },
  };
}

/** The sidecar's memory is gone, with it whatever is on its way to it by name alone. */
export function restart(state: LeaseState): LeaseState {
  const fresh = newEpoch({
    ...state,
    sidecar: { declared: false, lease: "none", leaseAge: 0, entry: NO_COPY },
    network: state.network.filter(({ kind }) => kind !== "releaseUnleased"),
  });
  return mapTokens(fresh, () => FOREIGN);
}

/** Whether a read that begins now is a hit of which its client makes use. */
export function hits(leases: Leases, state: LeaseState): boolean {
  const { sidecar } = judged(leases, state);
  const usable = sidecar.declared || !leases.rules.declareFirst;
  return usable && !suspended(sidecar) && sidecar.entry >= CURRENT;
}

function changeLease(leases: Leases, state: LeaseState, change: Partial<Sidecar>): LeaseState {
  const after = { ...state, sidecar: { ...state.sidecar, ...change } };
  const was = suspended(state.sidecar);
  const is = suspended(after.sidecar);
  if (was === is) return after;
  return (is ? leases.rules.epochOnEntering : leases.rules.epochOnLeaving) ? newEpoch(after) : after;
}

/** Everything is dropped, positions are worth nothing, clients must declare again. */
function newEpoch(state: LeaseState): LeaseState {
  return {
    ...state,
    sidecar: { ...state.sidecar, entry: NO_COPY },
    reader: { declared: false, phase: "idle", copy: NO_COPY },
    near: { ...state.near, outdated: state.near.copy !== NO_COPY },
  };
}
