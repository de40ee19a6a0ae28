import { type Command, InvalidArgumentError } from "commander";
import { DEFAULT_SCHEMA, grantSql, SCHEMA_NAME, schemaSql } from "../../log/postgres/schema-sql.js";
import { addExamples } from "../client/client-command.js";
import type { CliIo } from "../io/cli-io.js";

interface LogSchemaFlags {
  readonly schema: string;
  readonly grantTo: string | undefined;
}

/** `log-schema`: prints the SQL of the PostgreSQL log, for roles that may not create it themselves. */
export function registerLogSchema(program: Command, io: CliIo): void {
  const command = program
    .command("log-schema")
    .summary("print the SQL that creates the PostgreSQL log")
    .description(
      "Prints the SQL that creates the tables of the PostgreSQL log, as one transaction. A sidecar\n" +
        "creates them itself if its role may create a schema in the database; else run this SQL as a\n" +
        "role that may, and let the sidecar's role use them with --grant-to.",
    )
    .option("--schema <name>", "the schema that holds the tables", schemaName, DEFAULT_SCHEMA)
    .option("--grant-to <role>", "add the privileges that this role needs");
  addExamples(command, ["log-schema --grant-to splitcache | psql --dbname synapse"]);
  command.action(({ schema, grantTo }: LogSchemaFlags) => {
    const parts = ["begin", schemaSql(schema), ...(grantTo === undefined ? [] : [grantSql(schema, grantTo)])];
    io.stdout.write(`${[...parts, "commit"].join(";\n")};\n`);
  });
}

function schemaName(text: string): string {
  if (SCHEMA_NAME.test(text)) return text;
  throw new InvalidArgumentError("It must have 1 to 63 lower-case letters, digits and _, no digit first.");
}
