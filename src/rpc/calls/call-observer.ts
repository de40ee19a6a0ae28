/** What kind of call a call is. Most of it are the labels of the usual gRPC metrics. */
export interface CallLabels {
  /** A request on a read stream counts as a call, too: it has a status and a duration of its own. */
  readonly type: "unary" | "client_stream" | "server_stream" | "bidi_stream" | "stream_request";
  /** The full name of the service, such as `splitcache.v1.EventCacheService`. */
  readonly service: string;
  /** The name of the method, such as `GetEvents`. */
  readonly method: string;
  /** Both, as HTTP/2 has them: `/service/method`. */
  readonly path: string;
}

/** Observes every call, for metrics. All calls of a method have the same labels object. */
export interface CallObserver {
  /** The headers of a call have arrived. */
  started(call: CallLabels): void;
  /** A call has ended: its reply was sent, or the client has gone. Called once for each started call. */
  handled(call: CallLabels, statusCode: number, seconds: number): void;
}
