import type { Homeserver, Position } from "../../core/types.js";
import type { LogMember } from "../port.js";
import { epochOf } from "./epoch-bytes.js";
import type { FollowedHomeserver } from "./followed-homeserver.js";
import type { Link } from "./link.js";
import { MEMBER_ROWS_MAX } from "./postgres-limits.js";
import type { Statement } from "./session.js";

/** What the members have applied, read now and then for administrators and metrics. */
export class MembersView {
  readonly #link: Link;
  readonly #statement: Statement;
  #rows: readonly MemberRow[] = [];

  constructor(link: Link, schema: string) {
    this.#link = link;
    this.#statement = {
      name: "members-view",
      text: `select a.member, a.homeserver, a.epoch, a.sequence,
          case when h.epoch = a.epoch then h.sequence - a.sequence else h.sequence + 1 end as lag
        from ${schema}.applied a join ${schema}.head h on h.homeserver = a.homeserver
        where a.homeserver = any ($1::bytea[]) limit ${MEMBER_ROWS_MAX}`,
    };
  }

  async refresh(followed: readonly FollowedHomeserver[]): Promise<void> {
    this.#rows = await this.#link.run<MemberRow>(this.#statement, [followed.map(({ key }) => key)]);
  }

  members(ownId: string | undefined): readonly LogMember[] {
    const members = new Map<string, Map<Homeserver, { readonly applied: Position; readonly lag: number }>>();
    for (const { member, homeserver, epoch, sequence, lag } of this.#rows) {
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
