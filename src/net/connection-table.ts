import type { Socket } from "node:net";
import type { DescriptorReserve } from "./descriptor-reserve.js";

/** Why a connection has ended. */
export type CloseReason = (typeof CLOSE_REASONS)[number];

/**
 * peer: the peer closed it or it broke. idle: no call for too long. silent: no HTTP/2 preface in time.
 * displaced: closed to make room. refused: there was no room. drained: the server stops.
 */
const CLOSE_REASONS = ["peer", "idle", "silent", "displaced", "refused", "drained"] as const;

/** Receives reports that the bound was reached. The implementation limits the rate of log lines. */
export interface ConnectionLog {
  /** The connection of `peer` that has been idle for longest was closed to make room. */
  displaced(peer: string, table: ConnectionUsage): void;
  /** A connection of `peer` was refused: every other connection carries a call. */
  refused(peer: string, table: ConnectionUsage): void;
  /** There is room, but no file descriptor for the connection after this one of `peer`. */
  noDescriptor(peer: string, table: ConnectionUsage): void;
}

export interface ConnectionTableOptions {
  readonly max: number;
  readonly log: ConnectionLog;
  /** Checked for each connection. */
  readonly descriptors: Pick<DescriptorReserve, "hasFree" | "lend">;
  /** Whether connections use the reserve of descriptors before one of them is closed to make room. */
  readonly usesReserve: boolean;
  /** A monotonic clock in milliseconds; by default the clock of the process. */
  readonly clock?: () => number;
}

export interface ConnectionUsage {
  readonly open: number;
  readonly max: number;
  readonly closed: Readonly<Record<CloseReason, number>>;
}

/** One peer address. The sets are in order: the connection that has been idle for longest is first. */
interface Peer {
  open: number;
  /** Connections without any call so far. They are closed before `idle`. */
  readonly unused: Set<OpenConnection>;
  /** Connections that have carried calls and carry none now. */
  readonly idle: Set<OpenConnection>;
}

/** A connection, as administrators see it. */
export interface ConnectionView {
  /** Ascending in the order of coming. */
  readonly number: number;
  /** The address of the other side; undefined on a Unix socket. */
  readonly peer: string | undefined;
  readonly peerPort: number | undefined;
  readonly openedMs: number;
  readonly calls: number;
}

/** A connection in a table. It counts as idle until `busy` is called. */
export interface OpenConnection {
  readonly socket: Socket;
  /** The number of its calls; its owner counts them. */
  calls: number;
  /** Marks it as carrying a call: it is not closed to make room. */
  busy(): void;
  /** Marks it as idle. */
  idle(): void;
  /** Sets the reason of the close that follows. The first reason counts. */
  closing(reason: CloseReason): void;
  /** Closes it at once. */
  cut(reason: CloseReason): void;
}

/**
 * The open connections of one kind of listener, within a bound. At the bound a new
 * connection replaces an idle one of the peer address with the most connections, so
 * a client cannot occupy all of them while they are idle.
 */
export class ConnectionTable {
  readonly #options: ConnectionTableOptions;
  readonly #peers = new Map<string, Peer>();
  readonly #closed = Object.fromEntries(CLOSE_REASONS.map((reason) => [reason, 0])) as Record<
    CloseReason,
    number
  >;
  readonly #all = new Map<OpenConnection, Omit<ConnectionView, "calls">>();
  #open = 0;
  #count = 0;

  constructor(options: ConnectionTableOptions) {
    this.#options = options;
  }

  /** Adds an accepted socket. Undefined if there is no room; the socket is then destroyed. */
  accept(socket: Socket): OpenConnection | undefined {
    // A Unix socket's peer has no address: all of them count as one peer.
    const address = socket.remoteAddress ?? "unix";
    const { max, log } = this.#options;
    if (this.#open >= max) {
      const displaced = this.#makeRoom();
      if (displaced === undefined) {
        log.refused(address, this.usage());
        return this.#refuse(socket);
      }
      log.displaced(displaced, this.usage());
    }
    if (!this.#leavesDescriptor(address)) return this.#refuse(socket);
    return this.#enter(socket, address);
  }

  usage(): ConnectionUsage {
    return { open: this.#open, max: this.#options.max, closed: { ...this.#closed } };
  }

  /** The open connections, in the order of coming. */
  *list(): Iterable<ConnectionView> {
    for (const [{ calls }, view] of this.#all) yield { ...view, calls };
  }

  /** Ensures that a descriptor is free for the next connection; false if this one must be closed for that. */
  #leavesDescriptor(address: string): boolean {
    const { descriptors, log, usesReserve } = this.#options;
    if (descriptors.hasFree()) return true;
    log.noDescriptor(address, this.usage());
    return (usesReserve && descriptors.lend()) || this.#makeRoom() !== undefined;
  }

  #refuse(socket: Socket): undefined {
    this.#closed.refused += 1;
    socket.destroy();
  }

  #enter(socket: Socket, address: string): OpenConnection {
    const peer = this.#peers.get(address) ?? { open: 0, unused: new Set(), idle: new Set() };
    this.#peers.set(address, peer);
    peer.open += 1;
    this.#open += 1;
    let reason: CloseReason | undefined;
    let isOpen = true;
    const leave = () => {
      if (!isOpen) return;
      isOpen = false;
      this.#all.delete(connection);
      this.#open -= 1;
      this.#closed[reason ?? "peer"] += 1;
      peer.unused.delete(connection);
      peer.idle.delete(connection);
      peer.open -= 1;
      if (peer.open === 0) this.#peers.delete(address);
    };
    const connection: OpenConnection = {
      socket,
      calls: 0,
      busy: () => {
        peer.unused.delete(connection);
        peer.idle.delete(connection);
      },
      idle: () => {
        if (isOpen) peer.idle.add(connection);
      },
      closing: (why) => {
        reason ??= why;
      },
      cut: (why) => {
        reason ??= why;
        // The slot is free now, not when the close event arrives.
        leave();
        socket.destroy();
      },
    };
    socket.once("close", leave);
    peer.unused.add(connection);
    this.#all.set(connection, this.#viewOf(socket));
    return connection;
  }

  #viewOf({ remoteAddress: peer, remotePort: peerPort }: Socket): Omit<ConnectionView, "calls"> {
    this.#count += 1;
    const { clock = () => performance.now() } = this.#options;
    return { number: this.#count, peer, peerPort, openedMs: clock() };
  }

  /** Closes one idle connection and returns its peer; undefined if there is none. */
  #makeRoom(): string | undefined {
    let largest: [address: string, peer: Peer] | undefined;
    for (const entry of this.#peers) {
      const hasIdle = entry[1].unused.size + entry[1].idle.size > 0;
      if (hasIdle && (largest === undefined || entry[1].open > largest[1].open)) largest = entry;
    }
    if (largest === undefined) return undefined;
    const [address, peer] = largest;
    const [longestIdle] = peer.unused.size > 0 ? peer.unused : peer.idle;
    longestIdle?.cut("displaced");
    return address;
  }
}
