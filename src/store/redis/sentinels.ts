import { COMMAND_OPTIONS, Deadlines, joined, troubleOf } from "./client-library.js";
import { RedisTrouble } from "./link.js";
import { type AddressedNode, NodeConnections } from "./node-connections.js";
import { COMMAND_TIMEOUT_MS } from "./redis-limits.js";
import { addressOf, type RedisNode, type RedisTarget } from "./target.js";

/** The primary, as Sentinels name it. */
export interface Named {
  readonly node: RedisNode;
  /** Whether more than half of them name it. */
  readonly isAgreed: boolean;
}

/**
 * The Sentinels of a target. Each is asked over a connection that is kept: hundreds of
 * sidecars ask every second.
 */
export class Sentinels {
  readonly #nodes: readonly RedisNode[];
  readonly #primaryName: string;
  readonly #connections: NodeConnections;
  readonly #deadlines: Deadlines;

  constructor(target: RedisTarget, clock: () => number) {
    this.#nodes = target.nodes;
    this.#primaryName = target.primaryName;
    this.#connections = new NodeConnections({ ...target, ...loginOf(target), database: 0 });
    this.#deadlines = new Deadlines(COMMAND_TIMEOUT_MS, clock);
  }

  /**
   * The server that most of them name: one that was cut off from the others may go on
   * naming the old primary. Waits for no more of them than it takes; rejects if none
   * names any.
   */
  primary(): Promise<Named> {
    return mostNamed(this.#nodes.map((sentinel) => this.#ask(sentinel)));
  }

  close(): void {
    this.#connections.close();
  }

  async #ask(sentinel: RedisNode): Promise<RedisNode> {
    const address = addressOf(sentinel);
    const asking = this.#askOver({ ...sentinel, address });
    const connection = this.#connections.known(address);
    try {
      return await this.#deadlines.race(asking);
    } catch (error) {
      const { kind, message } = troubleOf(error);
      // It may be dead, and what is written to it never answered.
      if (kind === "timeout" && this.#connections.known(address) === connection)
        this.#connections.drop(address);
      throw new RedisTrouble(kind, `Sentinel ${address}: ${message}`, error);
    }
  }

  async #askOver(sentinel: AddressedNode): Promise<RedisNode> {
    const client = await this.#connections.to(sentinel);
    const reply = await client.sendCommand(
      ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", this.#primaryName],
      COMMAND_OPTIONS,
    );
    if (!Array.isArray(reply)) throw new RedisTrouble("other", `it knows no primary ${this.#primaryName}`);
    return { host: String(reply[0]), port: Number(String(reply[1])) };
  }
}

/** Never Redis's own: Sentinels that know no such user would refuse it, though they ask for none. */
function loginOf({ sentinelUsername, sentinelPassword }: RedisTarget) {
  return { username: sentinelUsername, password: sentinelPassword };
}

function mostNamed(answers: readonly Promise<RedisNode>[]): Promise<Named> {
  return new Promise((resolve, reject) => {
    const votes = new Map<string, { readonly node: RedisNode; readonly count: number }>();
    const failures: RedisTrouble[] = [];
    let left = answers.length;
    const conclude = (failure?: RedisTrouble) => {
      left -= 1;
      if (failure !== undefined) failures.push(failure);
      const [first] = [...votes.values()].sort((one, other) => other.count - one.count);
      const isAgreed = first !== undefined && first.count > answers.length / 2;
      if (first !== undefined && (left === 0 || isAgreed)) resolve({ node: first.node, isAgreed });
      else if (left === 0) reject(joined(failures));
    };
    for (const answer of answers) {
      answer.then((node) => {
        const vote = votes.get(addressOf(node)) ?? { node, count: 0 };
        votes.set(addressOf(node), { node, count: vote.count + 1 });
        conclude();
      }, conclude);
    }
  });
}
