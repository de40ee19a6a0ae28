import { InvalidArgumentError } from "commander";
import { DEFAULT_SCHEMA, grantSql, SCHEMA_NAME, schemaSql } from "../../log/postgres/schema/schema-sql.js";
import { localCommand } from "../command.js";
import { ExitCode } from "../exit-code.js";
import { parsed, text } from "../flags.js";

/** `log-schema`: prints the SQL of the PostgreSQL log, for roles that may not create it themselves. */
export const logSchema = localCommand({
  name: "log-schema",
  summary: "Prints the SQL that creates the PostgreSQL log",
  description:
    "Prints the SQL that creates the tables of the PostgreSQL log, as one transaction. A sidecar creates " +
    "them itself if its role may create a schema in the database. If it may not, run this SQL with a role " +
    "that may, and give the privileges to the sidecar's role with --grant-to.",
  flags: {
    schema: parsed("<name>", "Names the schema that holds the tables.", schemaName, {
      note: `default: ${DEFAULT_SCHEMA}`,
    }),
    grantTo: text("<role>", "Adds the privileges that this role needs."),
  },
  examples: ["log-schema --grant-to splitcache | psql --dbname synapse"],
  run: async ({ flags: { schema = DEFAULT_SCHEMA, grantTo }, print }) => {
    const grants = grantTo === undefined ? [] : [grantSql(schema, grantTo)];
    const statements = ["begin", schemaSql(schema), ...grants, "commit"];
    const sql = `${statements.join(";\n")};\n`;
    print([{ sql }], sql);
    return ExitCode.done;
  },
});

function schemaName(text: string): string {
  if (SCHEMA_NAME.test(text)) return text;
  throw new InvalidArgumentError("Expected 1 to 63 lower-case letters, digits and _, no digit first.");
}
