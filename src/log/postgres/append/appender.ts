import { CacheError } from "../../../core/model/errors.js";
import type { Change, Epoch, Position } from "../../../core/model/types.js";
import { encodeChange, epochOf, TOKEN_BYTES, weightOf } from "../codec/change-codec.js";
import { encodeChanges, signedSql } from "../codec/notification.js";
import type { PostgresLink } from "../connection/postgres-link.js";
import type { Statement } from "../connection/session.js";
import type { FollowedHomeserver } from "../follow/followed-homeserver.js";
import type { ClusterRow, Incarnation } from "../membership/incarnation.js";
import { BATCHES_UNCONFIRMED_MAX, PENDING_CHANGES_MAX, type PostgresLimits } from "../postgres-limits.js";
import type { Acknowledgements } from "./acknowledgements.js";
import { type AppendQueue, newQueue, type PendingChange, takeBatch } from "./append-queue.js";

export interface AppenderOptions {
  readonly link: PostgresLink;
  readonly schema: string;
  readonly limits: PostgresLimits;
  readonly incarnation: Incarnation;
  readonly acknowledgements: Acknowledgements;
  randomBytes(length: number): Buffer;
  createHead(followed: FollowedHomeserver): Promise<void>;
  onFailure(error: unknown): void;
}

/** Appends changes. Changes of one homeserver that arrive together share a transaction and a wait. */
export class Appender {
  readonly #options: AppenderOptions;
  readonly #statements: ReturnType<typeof statements>;
  readonly #queues = new Map<FollowedHomeserver, AppendQueue>();

  constructor(options: AppenderOptions) {
    this.#options = options;
    this.#statements = statements(options.schema);
  }

  append(followed: FollowedHomeserver, change: Change, apply: () => void): Promise<Position> {
    const queue = this.#queueOf(followed);
    if (queue.count >= PENDING_CHANGES_MAX) {
      return Promise.reject(
        new CacheError("exhausted", "too many changes of this homeserver wait for the log", {
          retryDelayMs: this.#options.limits.renewMs,
        }),
      );
    }
    const token = this.#options.randomBytes(TOKEN_BYTES).toString("hex");
    followed.expect(token, apply);
    return new Promise<Position>((resolve, reject) => {
      const timer = setTimeout(() => pending.settle(late()), this.#options.limits.appendMs);
      const pending: PendingChange = {
        token,
        bytes: encodeChange(token, change),
        weight: weightOf(change),
        isSettled: false,
        settle: (outcome) => {
          if (pending.isSettled) return;
          pending.isSettled = true;
          clearTimeout(timer);
          followed.forget(token);
          queue.count -= 1;
          if (queue.count === 0) this.#queues.delete(followed);
          if (outcome instanceof Error) reject(outcome);
          else resolve(outcome);
        },
      };
      queue.count += 1;
      queue.waiting.push(pending);
      this.#flushSoon(followed, queue);
    });
  }

  /** Starts a new epoch; with `insteadOf`, only if that is the current one. */
  async startEpoch(
    followed: FollowedHomeserver,
    reason: "asked" | "database",
    insteadOf?: Epoch,
  ): Promise<Position> {
    const values = [followed.key, this.#options.randomBytes(16), reason, insteadOf ?? null];
    try {
      const row = await this.#runWithHead(followed, this.#statements.epoch, values);
      if (row === undefined) throw new CacheError("unavailable", "the log takes no changes now; retry");
      const position = { epoch: epochOf(row.epoch), sequence: 0 };
      await this.#options.acknowledgements.confirmed(followed, position, row.incarnation);
      return position;
    } catch (error) {
      throw this.#unavailable(error);
    }
  }

  /** Rejects all that is pending. */
  close(): void {
    for (const [, queue] of this.#queues) {
      for (const pending of [...queue.sent, ...queue.waiting]) {
        pending.settle(new CacheError("unavailable", "the sidecar stops; retry"));
      }
    }
  }

  #queueOf(followed: FollowedHomeserver): AppendQueue {
    const queue = this.#queues.get(followed) ?? newQueue();
    this.#queues.set(followed, queue);
    return queue;
  }

  /** In a later turn of the event loop, so that calls which arrive together share a transaction. */
  #flushSoon(followed: FollowedHomeserver, queue: AppendQueue): void {
    if (queue.isSending || queue.batches >= BATCHES_UNCONFIRMED_MAX || queue.waiting.length === 0) return;
    queue.isSending = true;
    setImmediate(() => void this.#flush(followed, queue));
  }

  async #flush(followed: FollowedHomeserver, queue: AppendQueue): Promise<void> {
    const batch = takeBatch(queue);
    for (const pending of batch) queue.sent.add(pending);
    queue.batches += 1;
    try {
      const row = await this.#sendNext(followed, queue, batch);
      if (row !== undefined) await this.#confirm(followed, batch, row);
    } catch (error) {
      const failure = this.#unavailable(error);
      for (const pending of batch) pending.settle(failure);
    } finally {
      for (const pending of batch) queue.sent.delete(pending);
      queue.batches -= 1;
      this.#flushSoon(followed, queue);
    }
  }

  /** Sends a batch; the next one may be sent once the server has this one, confirmed or not. */
  async #sendNext(followed: FollowedHomeserver, queue: AppendQueue, batch: readonly PendingChange[]) {
    try {
      return batch.length === 0 ? undefined : await this.#send(followed, batch);
    } finally {
      queue.isSending = false;
      this.#flushSoon(followed, queue);
    }
  }

  async #send(followed: FollowedHomeserver, batch: readonly PendingChange[]): Promise<AppendRow> {
    const row = await this.#runWithHead(followed, this.#statements.append, [
      followed.key,
      batch.length,
      batch.reduce((sum, { weight }) => sum + weight, 0),
      batch.map(({ bytes }) => bytes),
      batch.map(({ weight }) => weight),
      encodeChanges(batch.map(({ bytes }) => bytes)) ?? null,
    ]);
    if (row !== undefined) return row;
    throw new CacheError("unavailable", "the log's server was started or promoted; retry");
  }

  async #confirm(
    followed: FollowedHomeserver,
    batch: readonly PendingChange[],
    row: AppendRow,
  ): Promise<void> {
    const epoch = epochOf(row.epoch);
    const last = Number(row.sequence);
    await this.#options.acknowledgements.confirmed(followed, { epoch, sequence: last }, row.incarnation);
    const first = last - batch.length + 1;
    for (const [index, pending] of batch.entries()) pending.settle({ epoch, sequence: first + index });
  }

  /** Creates the head of a homeserver's log if there is none. */
  async #runWithHead(followed: FollowedHomeserver, statement: Statement, values: readonly unknown[]) {
    const { link, incarnation, limits, createHead } = this.#options;
    await link.untilUp(limits.readyMs);
    let [row] = await link.run<AppendRow>(statement, values);
    if (row === undefined) {
      await createHead(followed);
      [row] = await link.run<AppendRow>(statement, values);
    }
    if (row !== undefined) incarnation.saw(row);
    return row;
  }

  #unavailable(error: unknown): CacheError {
    if (error instanceof CacheError) return error;
    if (this.#options.link.isUp) this.#options.onFailure(error);
    return new CacheError("unavailable", "the log is unavailable; retry", { cause: error });
  }
}

interface AppendRow extends ClusterRow {
  readonly epoch: Buffer;
  readonly sequence: string;
}

function late(): CacheError {
  return new CacheError("unavailable", "the change was not confirmed in time; retry");
}

function statements(schema: string): Readonly<Record<"append" | "epoch", Statement>> {
  const hex = (bytes: string) => `pg_catalog.encode(${bytes}, 'hex')`;
  const notify = (payload: string) => `pg_catalog.pg_notify('${schema}', ${payload})`;
  const from = `from ${schema}.cluster
        where head.homeserver = $1 and cluster.incarnation = ${schema}.incarnation()`;
  const cluster = "cluster.incarnation, true as same, cluster.settled";
  return {
    // The lock of the head's row gives the order. It is held until commit.
    append: {
      name: "append",
      text: `with moved as (
          update ${schema}.head set sequence = sequence + $2::bigint, weight = weight + $3::bigint,
            at = pg_catalog.now() ${from}
          returning head.epoch, head.sequence, head.weight, ${cluster}, cluster.key
        ), inserted as (
          insert into ${schema}.change (homeserver, epoch, sequence, weight, change)
          select $1, m.epoch, m.sequence - $2 + c.n, m.weight - $3 + sum(c.weight) over (order by c.n), c.change
          from moved m, unnest($4::bytea[], $5::bigint[]) with ordinality as c(change, weight, n)
        )
        select epoch, sequence, incarnation, same, settled,
          ${notify(`coalesce(${signedSql("news", "key")}, ${hex("$1::bytea")})`)}
        from moved, lateral (
          select ${hex("$1::bytea")} || ' ' || ${hex("epoch")} || ' ' || (sequence - $2 + 1) || ' ' || $6::text
        ) as n(news)`,
    },
    epoch: {
      name: "start-epoch",
      text: `with moved as (
          update ${schema}.head set epoch = $2, sequence = 0, weight = 0, reason = $3,
            at = pg_catalog.now() ${from}
            and ($4::text is null or head.epoch = decode($4, 'hex'))
          returning head.epoch, head.sequence, ${cluster}
        ), removed as (
          delete from ${schema}.change where homeserver = $1
        )
        select epoch, sequence, incarnation, same, settled, ${notify(hex("$1::bytea"))} from moved`,
    },
  };
}
