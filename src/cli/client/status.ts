import { CliError, ExitCode } from "../exit-code.js";

/** /status.json, as far as this program shows it. */
export interface Status {
  /** The state in numbers. */
  readonly figures: Readonly<Record<string, unknown>>;
  readonly title: string;
  readonly sections: readonly StatusSection[];
}

export interface StatusSection {
  readonly title: string;
  readonly figures: readonly StatusFigure[];
  readonly table: { readonly headings: readonly string[]; readonly rows: readonly string[][] } | undefined;
}

export interface StatusFigure {
  readonly label: string;
  readonly value: string;
  readonly note: string;
  /** Of the last fifteen minutes; null: not known. */
  readonly lines: readonly (readonly (number | null)[])[];
  readonly chartMax: number | undefined;
}

/** Reads /status.json. What is missing, as from another version, is left out. */
export function readStatus(text: string): Status {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new CliError(
      ExitCode.failure,
      "/status.json is not JSON; is it a splitcache HTTP listener?",
      error,
    );
  }
  const { figures, report } = record(json);
  const { title, sections } = record(report);
  return { figures: record(figures), title: string(title), sections: list(sections).map(sectionOf) };
}

function sectionOf(json: unknown): StatusSection {
  const { title, figures, table } = record(json);
  const { headings, rows } = record(table);
  return {
    title: string(title),
    figures: list(figures).map(figureOf),
    table:
      table === undefined
        ? undefined
        : { headings: list(headings).map(string), rows: list(rows).map((row) => list(row).map(string)) },
  };
}

function figureOf(json: unknown): StatusFigure {
  const { label, value, note, lines, chartMax } = record(json);
  return {
    label: string(label),
    value: string(value),
    note: string(note),
    lines: list(lines).map((line) => list(line).map((value) => (typeof value === "number" ? value : null))),
    chartMax: typeof chartMax === "number" ? chartMax : undefined,
  };
}

function record(json: unknown): Readonly<Record<string, unknown>> {
  return typeof json === "object" && json !== null ? (json as Readonly<Record<string, unknown>>) : {};
}

function list(json: unknown): readonly unknown[] {
  return Array.isArray(json) ? json : [];
}

function string(json: unknown): string {
  return typeof json === "string" ? json : "";
}
