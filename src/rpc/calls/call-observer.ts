/** The labels of a call in the usual gRPC metrics. */
export interface CallLabels {
  readonly type: "unary" | "client_stream" | "server_stream" | "bidi_stream";
  /** The full name of the service, such as `splitcache.v1.EventCacheService`. */
  readonly service: string;
  /** The name of the method, such as `GetEvents`. */
  readonly method: string;
}

/** Observes every call, for metrics. All calls of a method have the same labels object. */
export interface CallObserver {
  /** The headers of a call have arrived. */
  started(call: CallLabels): void;
  /** A call has ended: its reply was sent, or the client has gone. Called once for each started call. */
  handled(call: CallLabels, statusCode: number, seconds: number): void;
}
