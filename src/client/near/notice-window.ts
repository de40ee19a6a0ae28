/** Names that are remembered, in each of two halves. */
const NAMES_MAX = 8192;

/**
 * What the last notices named, so that a reply that a notice has overtaken is not kept. What came before
 * the window counts as a notice of everything.
 */
export class NoticeWindow {
  #events = new Map<string, bigint>();
  #rooms = new Map<string, bigint>();
  #olderEvents = new Map<string, bigint>();
  #olderRooms = new Map<string, bigint>();
  /** The window has everything after `#from`; the younger half everything after `#middle`. */
  #from = 0n;
  #middle = 0n;

  /** Everything may have changed at or before this position. */
  begin(sequence: bigint): void {
    this.#events = new Map();
    this.#rooms = new Map();
    this.#olderEvents = new Map();
    this.#olderRooms = new Map();
    this.#from = sequence;
    this.#middle = sequence;
  }

  events(ids: Iterable<string>, sequence: bigint): void {
    for (const id of ids) raise(this.#events, id, sequence);
    this.#turn(sequence);
  }

  room(roomId: string, sequence: bigint): void {
    raise(this.#rooms, roomId, sequence);
    this.#turn(sequence);
  }

  /** Whether a notice after `sequence` names the event or its room, as far as the window knows. */
  hasLater(sequence: bigint, eventId: string, roomId: string): boolean {
    if (sequence < this.#from) return true;
    return (
      isLater(this.#events.get(eventId) ?? this.#olderEvents.get(eventId), sequence) ||
      isLater(this.#rooms.get(roomId) ?? this.#olderRooms.get(roomId), sequence)
    );
  }

  #turn(sequence: bigint): void {
    if (this.#events.size + this.#rooms.size < NAMES_MAX) return;
    this.#olderEvents = this.#events;
    this.#olderRooms = this.#rooms;
    this.#events = new Map();
    this.#rooms = new Map();
    this.#from = this.#middle;
    if (sequence > this.#middle) this.#middle = sequence;
  }
}

/** A change that this process announced may be known before the notices in front of it. */
function raise(named: Map<string, bigint>, name: string, sequence: bigint): void {
  if (!isLater(named.get(name), sequence)) named.set(name, sequence);
}

function isLater(named: bigint | undefined, sequence: bigint): boolean {
  return named !== undefined && named > sequence;
}
