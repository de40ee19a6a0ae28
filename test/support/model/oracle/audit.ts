import type {
  Change,
  Epoch,
  EventId,
  Homeserver,
  Position,
  PutOutcome,
  RoomId,
} from "../../../../src/core/model/types.js";
import type { Watch } from "../system/memory-system.js";
import type { Sidecar } from "../system/sidecar.js";
import { concerns } from "./reference-homeserver.js";

/**
 * Writes down what a sidecar answers to calls that overlap, and fails if no order
 * of them explains it. Positions only ever advance, an epoch that
 * has ended does not come back (unless calls go to several sidecars, of which one hears
 * of a failover later), each change has a number of its own, and each
 * outcome of a write is what the changes between its `as_of` and its reply demand.
 */
export function auditedSidecar(sidecar: Sidecar, { epochsMayReturn = false } = {}): Watch {
  const logs = new Map<Homeserver, HomeserverLog>();
  const verdicts: Verdict[] = [];
  const logOf = (homeserver: Homeserver): HomeserverLog => {
    const log = logs.get(homeserver) ?? new HomeserverLog(epochsMayReturn);
    logs.set(homeserver, log);
    return log;
  };

  /** Makes a call whose reply has a position that must not lie before any position that was known when it began. */
  async function observe<Reply>(
    homeserver: Homeserver,
    call: Promise<Reply>,
    positionOf: (reply: Reply) => Position,
  ): Promise<Reply> {
    const log = logOf(homeserver);
    const before = log.known();
    const reply = await call;
    log.learn(before, positionOf(reply));
    return reply;
  }

  const itself = (position: Position) => position;
  const itsPosition = ({ position }: { readonly position: Position }) => position;

  async function announce(
    homeserver: Homeserver,
    change: Change,
    call: Promise<Position>,
  ): Promise<Position> {
    const position = await observe(homeserver, call, itself);
    logOf(homeserver).record(position, change);
    return position;
  }

  return {
    sidecar: {
      getEvents: (request) => observe(request.homeserver, sidecar.getEvents(request), itsPosition),
      async putEvents(request) {
        const { homeserver, asOf } = request;
        const result = await observe(homeserver, sidecar.putEvents(request), itsPosition);
        // Of an event that is given twice the last counts, and both get its outcome.
        const last = new Map(request.events.map((event) => [event.eventId, event]));
        for (const [at, { eventId }] of request.events.entries()) {
          const { roomId } = last.get(eventId)!;
          const outcome = result.outcomes[at]!;
          verdicts.push({ log: logOf(homeserver), asOf, at: result.position, eventId, roomId, outcome });
        }
        return result;
      },
      async setRedaction(request) {
        const { homeserver, roomId, eventId, redaction } = request;
        const result = await observe(homeserver, sidecar.setRedaction(request), itsPosition);
        const change = { kind: "redacted", roomId, eventId, redactedBy: redaction.redactedBy } as const;
        logOf(homeserver).record(result.position, change);
        return result;
      },
      async setRejected(request) {
        const { homeserver, roomId, eventId, rejected } = request;
        const result = await observe(homeserver, sidecar.setRejected(request), itsPosition);
        logOf(homeserver).record(result.position, { kind: "rejected", roomId, eventId, rejected });
        return result;
      },
      invalidateEvents: (homeserver, roomId, eventIds) =>
        announce(
          homeserver,
          { kind: "invalidated", roomId, eventIds },
          sidecar.invalidateEvents(homeserver, roomId, eventIds),
        ),
      purgeRoom: (homeserver, roomId) =>
        announce(homeserver, { kind: "roomPurged", roomId }, sidecar.purgeRoom(homeserver, roomId)),
      purgeHomeserver: (homeserver, newEpoch) => {
        const call = sidecar.purgeHomeserver(homeserver, newEpoch);
        if (newEpoch) return observe(homeserver, call, itself);
        return announce(homeserver, { kind: "homeserverPurged" }, call);
      },
      subscribe: (request) => sidecar.subscribe(request),
    },
    ticked: () => {},
    check() {
      for (const verdict of verdicts) judge(verdict);
    },
  };
}

/** A write of one event, and what became of it. */
interface Verdict {
  readonly log: HomeserverLog;
  readonly asOf: Position;
  /** The position when it took effect. */
  readonly at: Position;
  readonly eventId: EventId;
  readonly roomId: RoomId;
  readonly outcome: PutOutcome;
}

function judge({ log, asOf, at, eventId, roomId, outcome }: Verdict): void {
  const isKnown = asOf.epoch === at.epoch && asOf.sequence <= at.sequence;
  const between = isKnown ? log.between(asOf, at) : [];
  const isOutdated = between.some((change) => change !== undefined && concerns(change, eventId, roomId));
  // A call that was lost with the sidecar may have made a change that nobody knows of.
  const mayBeOutdated = isOutdated || between.includes(undefined);
  const expected = { stored: isKnown && !isOutdated, fenced: mayBeOutdated, wrongEpoch: !isKnown };
  if (outcome in expected && !expected[outcome as keyof typeof expected]) {
    throw new Error(`${eventId} as of ${asOf.sequence} at ${at.sequence} was ${outcome}`);
  }
}

interface Known {
  readonly position: Position | undefined;
  readonly ended: ReadonlySet<Epoch>;
}

/** What was learnt of one homeserver's log from replies. */
class HomeserverLog {
  readonly #epochsMayReturn: boolean;
  #newest: Position | undefined;
  #ended = new Set<Epoch>();
  readonly #changes = new Map<string, Change>();

  constructor(epochsMayReturn: boolean) {
    this.#epochsMayReturn = epochsMayReturn;
  }

  known(): Known {
    return { position: this.#newest, ended: new Set(this.#ended) };
  }

  learn({ position, ended }: Known, reply: Position): void {
    if (ended.has(reply.epoch) && !this.#epochsMayReturn) throw new Error(`epoch ${reply.epoch} came back`);
    if (position !== undefined && position.epoch !== reply.epoch) this.#ended.add(position.epoch);
    if (position?.epoch === reply.epoch && reply.sequence < position.sequence) {
      throw new Error(`position ${reply.sequence} after ${position.sequence}`);
    }
    const isOlder = this.#newest?.epoch === reply.epoch && reply.sequence < this.#newest.sequence;
    if (!this.#ended.has(reply.epoch) && !isOlder) this.#newest = reply;
  }

  record(position: Position, change: Change): void {
    const key = `${position.epoch}/${position.sequence}`;
    if (this.#changes.has(key)) throw new Error(`two changes at ${key}`);
    this.#changes.set(key, change);
  }

  between(from: Position, to: Position): (Change | undefined)[] {
    return Array.from({ length: to.sequence - from.sequence }, (_, at) =>
      this.#changes.get(`${to.epoch}/${from.sequence + at + 1}`),
    );
  }
}
