/** Faults beyond it are counted alone. */
const FAULTS_MAX = 50;

/** Collects what all parts of an attack see. */
export class Findings {
  /** Calls and messages of read streams that were sent. */
  calls = 0;
  /** Messages that came back. */
  replies = 0;
  readonly #ends = new Map<string, Map<string, number>>();
  readonly #faults: string[] = [];
  #faultsMore = 0;
  readonly #onFault: (text: string) => void;

  constructor(onFault: (text: string) => void = () => {}) {
    this.#onFault = onFault;
  }

  get faults(): readonly string[] {
    return this.#faults;
  }

  get faultsMore(): number {
    return this.#faultsMore;
  }

  get ends(): ReadonlyMap<string, ReadonlyMap<string, number>> {
    return this.#ends;
  }

  ended(kind: string, how: string): void {
    let counts = this.#ends.get(kind);
    if (counts === undefined) {
      counts = new Map();
      this.#ends.set(kind, counts);
    }
    counts.set(how, (counts.get(how) ?? 0) + 1);
  }

  fault(text: string): void {
    if (this.#faults.length >= FAULTS_MAX) {
      this.#faultsMore += 1;
      return;
    }
    this.#faults.push(text);
    this.#onFault(text);
  }
}
