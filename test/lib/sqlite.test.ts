import { expect, test } from "vitest";
import { addColumns } from "../../src/lib/sqlite.ts";
import { openSqlite } from "../support/sqlite.ts";

test("columns that a table of an earlier release does not have are added once, and its rows stay", () => {
  const sql = openSqlite();
  sql.exec("CREATE TABLE message (id TEXT)");
  sql.exec("INSERT INTO message VALUES ('one')");
  const columns = ["deaths INTEGER NOT NULL DEFAULT 0", "code TEXT"];
  addColumns(sql, "message", columns);
  addColumns(sql, "message", columns);
  expect({ ...sql.exec("SELECT * FROM message").toArray()[0] }).toEqual({ id: "one", deaths: 0, code: null });
});
