/**
 * A text of somebody else as it may be printed: of each URL, well-formed or not, the user, the password,
 * the query and the fragment are left out, and an authority that is no list of hosts and ports; so is
 * what follows `password=`, `password:`, `Bearer` and their like. No more than 4 KiB are printed. Whatever a message repeats of a configuration, every log field
 * and every error of the command line passes through here.
 */
export function withoutSecrets(text: string): string {
  return shortened(text)
    .replace(BEARER, "$1…")
    .replace(USER_INFO, "$1…@")
    .replace(AUTHORITY, (_, scheme: string, authority: string) => scheme + hostsOf(authority))
    .replace(QUERY, "$1…")
    .replace(ASSIGNMENT, "$1…");
}

/**
 * A value that could not be read, as it may be printed: of a URL the scheme alone, since nobody can tell
 * what the rest is; and nothing before an @.
 */
export function unreadable(text: string): string {
  return withoutSecrets(text)
    .replace(/:\/\/.*/s, "://…")
    .replace(/^.*@/s, "…@");
}

/**
 * Up to the last @ of the line, since a password may hold whatever else, if it is not encoded as it
 * should be. The URLs of stack traces are files, which have none.
 */
const USER_INFO = /\b((?!file:)[a-z][a-z0-9+.-]{0,30}:\/\/).*@/gi;
const AUTHORITY = /\b([a-z][a-z0-9+.-]{0,30}:\/\/)([^\s/?#"'\\]*)/gi;
const QUERY = /(:\/\/[^\s?#"']*[?#])[^\s"']+/g;
const ASSIGNMENT =
  /((?:pass(?:word|wd|phrase)?|secret|token)["']?\s{0,9}[=:]\s{0,9})(?:'[^']*'|"[^"]*"|[^\s&"']+)/gi;
const BEARER = /\b((?:bearer|basic)\s{1,9})[\w.~+/=-]+/gi;
const HOSTS =
  /^(?:…@)?(?:\[[0-9a-f:.]+\]|[\w.-]+)(?::\d{1,5})?(?:,(?:\[[0-9a-f:.]+\]|[\w.-]+)(?::\d{1,5})?)*$/i;

function hostsOf(authority: string): string {
  return authority === "" || HOSTS.test(authority) ? authority : "…";
}

/** Reading takes time that can grow faster than the text. A URL that the cut goes through is not shown. */
function shortened(text: string): string {
  if (text.length <= SHOWN_MAX) return text;
  return `${text.slice(0, SHOWN_MAX).replace(/:\/\/(?:(?!:\/\/).)*$/, "://…")}…`;
}

const SHOWN_MAX = 4096;
