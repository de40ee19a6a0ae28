/** The words of the domain. Everything here is immutable once made. */

declare const brand: unique symbol;
type Branded<Name extends string> = string & { readonly [brand]: Name };

/** A homeserver's name, 1 to 255 bytes. Made at the edge, by validation only. */
export type Homeserver = Branded<"Homeserver">;
/** A Matrix event ID, 1 to 1,020 bytes. */
export type EventId = Branded<"EventId">;
/** A Matrix room ID, 1 to 1,020 bytes. */
export type RoomId = Branded<"RoomId">;
/** 16 random bytes as 32 hexadecimal digits: chosen whenever a log starts, never reused. */
export type Epoch = Branded<"Epoch">;

/** A position in the invalidation log of one homeserver. Positions of two epochs are never compared. */
export interface Position {
  readonly epoch: Epoch;
  /** The sequence number of the last change at or before this position, below 2^53. */
  readonly sequence: number;
}

export interface Redaction {
  /** The event ID of the redaction. */
  readonly redactedBy: EventId;
  /** The redacted event's JSON text; absent if it was not given and could not be made. */
  readonly redactedBody: Uint8Array | undefined;
}

/** An event as a homeserver puts it. The bytes belong to the caller: a store copies them. */
export interface NewEvent {
  readonly eventId: EventId;
  readonly roomId: RoomId;
  readonly roomVersion: string;
  readonly body: Uint8Array;
  readonly rejected: boolean;
  readonly rejectedReason: string;
  readonly redaction: Redaction | undefined;
  readonly internalMetadata: Uint8Array;
}

/** A range of bytes that belongs to a store. Read only. */
export interface ByteRange {
  /** Throws when the range is no longer readable. A view of it must not be kept: copy what is needed later. */
  readonly bytes: Buffer;
  readonly start: number;
  readonly end: number;
}

/** The mutable part of an event. Replaced as a whole, never changed in place. */
export interface EventState {
  readonly rejected: boolean;
  readonly rejectedReason: string;
  readonly redaction: Redaction | undefined;
}

/**
 * A hit: what never changes, in the wire form that encoded-event.ts defines, and
 * what this homeserver said of it when the lookup was made.
 */
export interface StoredEvent {
  readonly eventId: EventId;
  /** Readable only while the lookup lends it. */
  readonly encoded: ByteRange;
  readonly state: EventState;
  /** Opaque bytes, one per character (latin1): a string is far smaller than a Buffer. */
  readonly internalMetadata: string;
}

/** Which text of a redacted event to return. */
export type RedactionView = "redacted" | "original";

export interface ReadResult {
  /** The homeserver's position, taken before the lookup; undefined while the store is unverified. */
  readonly position: Position | undefined;
  /** One item per requested ID, in order; undefined is a miss. */
  readonly events: readonly (StoredEvent | undefined)[];
}

export type PutOutcome = "stored" | "fenced" | "tooOld" | "wrongEpoch" | "unverified";
export type SetOutcome = "applied" | "dropped" | "absent";

/** One change of a homeserver's events, as the log keeps it and subscribers receive it. */
export type Change =
  | {
      readonly kind: "redacted";
      readonly roomId: RoomId | undefined;
      readonly eventId: EventId;
      readonly redactedBy: EventId;
    }
  | {
      readonly kind: "rejected";
      readonly roomId: RoomId | undefined;
      readonly eventId: EventId;
      readonly rejected: boolean;
    }
  | {
      readonly kind: "invalidated";
      readonly roomId: RoomId | undefined;
      readonly eventIds: readonly EventId[];
    }
  | { readonly kind: "roomPurged"; readonly roomId: RoomId }
  | { readonly kind: "homeserverPurged" };

export interface Notice {
  readonly sequence: number;
  readonly change: Change;
}

export type ResetReason = "wrongEpoch" | "tooOld";

/** The frames of a subscription. Ready or reset comes first, then any of the others. */
export type SubscriptionFrame =
  | { readonly kind: "ready"; readonly position: Position; readonly resumed: boolean }
  | { readonly kind: "reset"; readonly position: Position; readonly reason: ResetReason }
  | Batch
  | { readonly kind: "progress"; readonly position: Position };

/** Consecutive changes. The same object for all subscribers at the same position. */
export interface Batch {
  readonly kind: "batch";
  readonly from: Position;
  readonly to: Position;
  readonly notices: readonly Notice[];
}
