import type { Homeserver, Position } from "../../core/model/types.js";
import type { LogMember } from "../port.js";
import { epochOf } from "./epoch-bytes.js";
import type { FollowedHomeserver } from "./followed-homeserver.js";
import type { Link } from "./link.js";
import { MEMBER_ROWS_MAX } from "./postgres-limits.js";
import type { Statement } from "./session.js";

/** The members: their number, counted at intervals, and their applied positions, read on request. */
export class MembersView {
  readonly #link: Link;
  readonly #statements: ReturnType<typeof statements>;
  #count = 0;

  constructor(link: Link, schema: string) {
    this.#link = link;
    this.#statements = statements(schema);
  }

  get count(): number {
    return this.#count;
  }

  async refresh(): Promise<void> {
    const [row] = await this.#link.run<{ count: string }>(this.#statements.count, []);
    this.#count = Number(row?.count ?? 0);
  }

  async read(
    followed: readonly FollowedHomeserver[],
    ownId: string | undefined,
  ): Promise<readonly LogMember[]> {
    const rows = await this.#link.run<MemberRow>(this.#statements.rows, [followed.map(({ key }) => key)]);
    const members = new Map<string, Map<Homeserver, { readonly applied: Position; readonly lag: number }>>();
    for (const { member, homeserver, epoch, sequence, lag } of rows) {
      const homeservers = members.get(member) ?? new Map();
      members.set(member, homeservers);
      const applied = { epoch: epochOf(epoch), sequence: Number(sequence) };
      homeservers.set(homeserver.toString("utf8") as Homeserver, { applied, lag: Number(lag) });
    }
    return [...members].map(([id, homeservers]) => ({ id, isSelf: id === ownId, homeservers }));
  }
}

interface MemberRow {
  readonly member: string;
  readonly homeserver: Buffer;
  readonly epoch: Buffer;
  readonly sequence: string;
  readonly lag: string;
}

function statements(schema: string): Readonly<Record<"count" | "rows", Statement>> {
  return {
    count: { name: "members-count", text: `select count(*) from ${schema}.member` },
    rows: {
      name: "members-view",
      text: `select a.member, a.homeserver, a.epoch, a.sequence,
          case when h.epoch = a.epoch then h.sequence - a.sequence else h.sequence + 1 end as lag
        from ${schema}.applied a join ${schema}.head h on h.homeserver = a.homeserver
        where a.homeserver = any ($1::bytea[]) limit ${MEMBER_ROWS_MAX}`,
    },
  };
}
