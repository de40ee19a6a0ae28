/** The state in words, for the page and for `splitcache top`. */
export interface Report {
  readonly title: string;
  readonly state: "ok" | "bad";
  readonly sections: readonly Section[];
}

export interface Section {
  readonly title: string;
  readonly figures: readonly Figure[];
  readonly table?: Table;
}

export interface Figure {
  readonly label: string;
  readonly value: string;
  readonly note: string;
  readonly isBad?: boolean;
  /** Where the chart ends above; undefined: at its largest value. */
  readonly chartMax?: number;
  /** One value a sample, the newest last; null: not known. Up to two lines. */
  readonly lines: readonly (readonly (number | null)[])[];
}

export interface Table {
  readonly headings: readonly string[];
  /** How many of the first columns are text; the others are numbers. */
  readonly textColumns: number;
  readonly rows: readonly (readonly string[])[];
  /** How many rows there are beside these. */
  readonly note: string;
}
