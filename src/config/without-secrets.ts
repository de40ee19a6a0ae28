/**
 * A text that is safe to print. Removes from each URL, well-formed or not, the user, the password, the
 * query, the fragment, and an authority that is not a list of hosts and ports; removes the values after
 * `password=`, `password:`, `Bearer` and similar words. Cuts the text at 4 KiB. Every log field, every
 * error of the command line, and every part of a configuration in a message passes through here.
 */
export function withoutSecrets(text: string): string {
  return shortened(text)
    .replace(BEARER, "$1…")
    .replace(USER_INFO, "$1…@")
    .replace(AUTHORITY, (_, scheme: string, authority: string) => scheme + hostsOf(authority))
    .replace(QUERY, "$1…")
    .replace(ASSIGNMENT, "$1…");
}

/** An invalid value that is safe to print: only the scheme of a URL, and nothing before an @. */
export function unreadable(text: string): string {
  return withoutSecrets(text)
    .replace(/:\/\/.*/s, "://…")
    .replace(/^.*@/s, "…@");
}

/**
 * Up to the last @ of the line, since a password may contain any other character if it is not
 * percent-encoded. The URLs of stack traces are files, which have no password.
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

/** The time of the expressions can grow faster than the text. A URL at the cut is not shown. */
function shortened(text: string): string {
  if (text.length <= SHOWN_MAX) return text;
  return `${text.slice(0, SHOWN_MAX).replace(/:\/\/(?:(?!:\/\/).)*$/, "://…")}…`;
}

const SHOWN_MAX = 4096;
