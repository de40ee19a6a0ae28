/** What a call is, in the words of the customary gRPC metrics. */
export interface CallLabels {
  readonly type: "unary" | "client_stream" | "server_stream" | "bidi_stream";
  /** The full name of the service, such as `splitcache.v1.EventCacheService`. */
  readonly service: string;
  /** The name of the method, such as `GetEvents`. */
  readonly method: string;
}

/** Called for every call, for metrics. The labels of a method are one object for all its calls. */
export interface CallObserver {
  /** A call's headers have come. */
  started(call: CallLabels): void;
  /** A call has ended: its reply has left, or the client has gone. Once for each call that started. */
  handled(call: CallLabels, statusCode: number, seconds: number): void;
}
