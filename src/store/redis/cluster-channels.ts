import { type Deadlines, ignore, noteRefusal } from "./client-library.js";
import type { OnMessage, RedisLog } from "./link.js";
import { type AddressedNode, NodeConnections } from "./node-connections.js";
import type { RedisTarget } from "./target.js";

interface Followed {
  readonly onMessage: OnMessage;
  /** The primary at which it is followed, or is about to be, once and no more; undefined: at none. */
  at: { readonly address: string } | undefined;
}

/**
 * The sharded channels that are followed in a Cluster, each at the primary that has its
 * slot. The library would subscribe anew by itself when a node leaves, and leave it to
 * nobody to catch a failure, which ends the process. Here `refresh` follows again what
 * was lost; meanwhile the log is read every second.
 */
export class ClusterChannels {
  readonly #ownerOf: (channel: string) => AddressedNode | undefined;
  readonly #deadlines: Deadlines;
  readonly #log: RedisLog;
  readonly #connections: NodeConnections;
  readonly #followed = new Map<string, Followed>();

  constructor(
    target: RedisTarget,
    ownerOf: (channel: string) => AddressedNode | undefined,
    deadlines: Deadlines,
    log: RedisLog,
  ) {
    this.#ownerOf = ownerOf;
    this.#deadlines = deadlines;
    this.#log = log;
    this.#connections = new NodeConnections(
      target,
      (client, address) =>
        client.on("sharded-channel-moved", (channel) => this.#lose(String(channel), address)),
      (address) => {
        for (const channel of this.#followed.keys()) this.#lose(channel, address);
      },
    );
  }

  follow(channel: string, onMessage: OnMessage): void {
    // A function of its own: whoever leaves and comes back at once is not taken for the one who left.
    const followed: Followed = { onMessage: (message) => onMessage(message), at: undefined };
    this.#followed.set(channel, followed);
    this.#place(channel, followed);
  }

  unfollow(channel: string): void {
    const followed = this.#followed.get(channel);
    this.#followed.delete(channel);
    if (followed?.at !== undefined) this.#leave(channel, followed, followed.at.address);
  }

  /** Follows each channel where it is by now, and gives up connections that have gone dead. */
  refresh(): void {
    for (const [channel, followed] of this.#followed) this.#place(channel, followed);
    for (const address of this.#connections.addresses) {
      const ping = async () => (await this.#connections.known(address))?.ping();
      this.#deadlines.race(ping()).catch(() => this.#connections.drop(address));
    }
  }

  /** All are followed at none from here on, until the next `refresh`. */
  dropAll(): void {
    this.#connections.dropAll();
  }

  close(): void {
    this.#followed.clear();
    this.#connections.close();
  }

  #place(channel: string, followed: Followed): void {
    const owner = this.#ownerOf(channel);
    const before = followed.at?.address;
    if (owner === undefined || owner.address === before) return;
    if (before !== undefined) this.#leave(channel, followed, before);
    const place = { address: owner.address };
    followed.at = place;
    const subscribe = async () => {
      const client = await this.#connections.to(owner);
      // It may have been unfollowed while the connection was made.
      if (followed.at === place && this.#followed.get(channel) === followed)
        await client.sSubscribe(channel, followed.onMessage);
    };
    subscribe().catch((error: unknown) => {
      noteRefusal(this.#log, error);
      if (followed.at === place) followed.at = undefined;
    });
  }

  #leave(channel: string, { onMessage }: Followed, address: string): void {
    const leave = async () => (await this.#connections.known(address))?.sUnsubscribe(channel, onMessage);
    leave().catch(ignore);
  }

  #lose(channel: string, address: string): void {
    const followed = this.#followed.get(channel);
    if (followed?.at?.address === address) followed.at = undefined;
  }
}
