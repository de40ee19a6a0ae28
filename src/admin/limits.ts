/** Bounds of the listeners for operators, each with its reason. They serve people and scripts: few calls, small requests. */

/** Calls at once: each may hold a page of its reply, and ask the log for it. */
export const ADMIN_CALLS_MAX = 8;
/** From the headers of a call until its reply has left: the slowest one observes the members of the log. */
export const ADMIN_CALL_TIME_LIMIT_MS = 10_000;
/** A request has a page token and names of at most 255 bytes. */
export const ADMIN_REQUEST_BYTES_MAX = 4096;
/** Items in a page: with the longest names and IDs a reply stays below half a MiB. */
export const PAGE_SIZE_MAX = 500;
export const PAGE_SIZE_DEFAULT = 100;
/** The longest token holds two names of 255 bytes, as JSON in base64. */
export const PAGE_TOKEN_BYTES_MAX = 1024;
