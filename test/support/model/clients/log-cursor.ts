import type { Notice, Position, SubscriptionFrame } from "../../../../src/core/model/types.js";

/**
 * Where a subscriber is in its homeserver's log. Fails on a frame that is out of place:
 * on a gap, a repetition, or a Progress that comes before what it stands for.
 */
export class LogCursor {
  #here: Position | undefined;
  #isReady = false;

  /** The last position that was received; kept over lost connections, to resume there. */
  get here(): Position | undefined {
    return this.#here;
  }

  /** A subscription begins: its first frame says from where. */
  connect(): void {
    this.#isReady = false;
  }

  /** The changes that a frame tells of; undefined: it begins anew, and nothing from before counts. */
  apply(frame: SubscriptionFrame): readonly Notice[] | undefined {
    const isFirst = frame.kind === "ready" || (frame.kind === "reset" && !this.#isReady);
    if (isFirst === this.#isReady) throw new Error(`${frame.kind} is out of place`);
    this.#isReady = true;
    if (frame.kind === "ready") return this.#start(frame);
    if (frame.kind === "batch") return this.#advance(frame);
    if (frame.kind === "progress") this.#expectHere(frame.position, "progress");
    else this.#here = frame.position;
    return frame.kind === "progress" ? [] : undefined;
  }

  #start({
    position,
    resumed,
  }: Extract<SubscriptionFrame, { kind: "ready" }>): readonly Notice[] | undefined {
    if (resumed !== (this.#here !== undefined)) throw new Error(`resumed is ${resumed}`);
    if (resumed) this.#expectHere(position, "ready");
    this.#here = position;
    return resumed ? [] : undefined;
  }

  #advance({ from, to, notices }: Extract<SubscriptionFrame, { kind: "batch" }>): readonly Notice[] {
    this.#expectHere(from, "a batch");
    const { epoch } = from;
    let { sequence } = from;
    for (const notice of notices) {
      if (notice.sequence !== sequence + 1) throw new Error(`change ${notice.sequence} follows ${sequence}`);
      sequence = notice.sequence;
    }
    this.#here = { epoch, sequence };
    this.#expectHere(to, "the end of a batch");
    return notices;
  }

  #expectHere({ epoch, sequence }: Position, what: string): void {
    const here = this.#here;
    if (here?.epoch === epoch && here.sequence === sequence) return;
    throw new Error(`${what} is at ${epoch}/${sequence}, its follower at ${here?.epoch}/${here?.sequence}`);
  }
}
