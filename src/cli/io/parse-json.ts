import { CliError, ExitCode } from "../exit-code.js";
import { isUnicode } from "./utf8.js";

/**
 * Parses a JSON text that `decodeUtf8` made; `where` names it in errors. A string that UTF-8 cannot
 * encode is refused with the name of its field. The caller checks everything else.
 */
export function parseJson(text: string, where: string) {
  const value = parse(text, where);
  const isUtf8 = isUnicode(text);
  if (isUtf8 && !SURROGATE_ESCAPE.test(text)) return value;
  const field = invalidField(value);
  if (field === undefined) return value;
  const problem = isUtf8 ? "has half of a surrogate pair" : "is not valid UTF-8";
  throw new CliError(ExitCode.usage, `${where}: ${field} ${problem}`);
}

const SURROGATE_ESCAPE = /\\u[dD][89a-fA-F]/;
export const BYTE_ORDER_MARK = "\uFEFF";
export const BYTE_ORDER_MARK_PROBLEM = "begins with a byte order mark (U+FEFF); remove it";

function parse(text: string, where: string) {
  try {
    return JSON.parse(text);
  } catch (cause) {
    let problem = "is not JSON";
    if (text.startsWith(BYTE_ORDER_MARK)) problem = BYTE_ORDER_MARK_PROBLEM;
    else if (!isUnicode(text)) problem = "is not valid UTF-8";
    throw new CliError(ExitCode.usage, `${where} ${problem}`, cause);
  }
}

/** The first string, or name of a field, that is not Unicode: `a.b[1]`. Walks without recursion. */
function invalidField(root: unknown): string | undefined {
  const rest = [{ path: "", value: root }];
  for (let next = rest.pop(); next !== undefined; next = rest.pop()) {
    const { path, value } = next;
    if (typeof value === "string" && !isUnicode(value)) return path === "" ? "the text" : path;
    if (typeof value !== "object" || value === null) continue;
    for (const [key, inner] of Object.entries(value).reverse()) {
      const inside = Array.isArray(value) ? `${path}[${key}]` : path === "" ? key : `${path}.${key}`;
      if (!isUnicode(key)) return inside;
      rest.push({ path: inside, value: inner });
    }
  }
  return undefined;
}
