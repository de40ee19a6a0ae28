/** Limits of the admin listeners, each with its reason. Operators and scripts make few calls with small requests. */

/** Calls at the same time: each may hold a page of its reply and query the log. */
export const ADMIN_CALLS_MAX = 8;
/** From the headers of a call until its reply was sent. The slowest call observes the members of the log. */
export const ADMIN_CALL_TIME_LIMIT_MS = 10_000;
/** A request has a page token and names of at most 255 bytes. */
export const ADMIN_REQUEST_BYTES_MAX = 4096;
/** Items in a page. With the longest names and IDs a reply is smaller than half a MiB. */
export const PAGE_SIZE_MAX = 500;
export const PAGE_SIZE_DEFAULT = 100;
/** The longest token holds two names of 255 bytes, as JSON in base64. */
export const PAGE_TOKEN_BYTES_MAX = 1024;
