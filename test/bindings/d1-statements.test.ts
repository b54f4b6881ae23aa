import fc from "fast-check";
import { expect, test } from "vitest";
import { statementsOf } from "../../src/bindings/d1/statements.ts";

test.each([
  ["SELECT 1; SELECT 2;", ["SELECT 1", "SELECT 2"]],
  ["SELECT 1", ["SELECT 1"]],
  ["", []],
  [" ;; -- nothing\n ; /* at ; all */", []],
  [
    "SELECT ';', \"a;b\", `c;d`, [e;f]; SELECT 'it''s; fine'",
    ["SELECT ';', \"a;b\", `c;d`, [e;f]", "SELECT 'it''s; fine'"],
  ],
  [
    "SELECT 1 -- one; still one\n; SELECT /* two; */ 2",
    ["SELECT 1 -- one; still one", "SELECT /* two; */ 2"],
  ],
  ["SELECT 'not closed; SELECT 2", ["SELECT 'not closed; SELECT 2"]],
  ["SELECT 1 /* not closed; SELECT 2", ["SELECT 1 /* not closed; SELECT 2"]],
])("%j has the statements %j", (sql, statements) => {
  expect(statementsOf(sql)).toEqual(statements);
});

test.each([
  "CREATE TRIGGER",
  "create temp trigger if not exists",
  "EXPLAIN CREATE /* ; */ TEMPORARY TRIGGER",
])("a semicolon inside what `%s` makes does not end it", (begin) => {
  const trigger = `${begin} a AFTER INSERT ON b BEGIN UPDATE c SET d = CASE WHEN 1 THEN 2 END; DELETE FROM e; END`;
  expect(statementsOf(`${trigger}; SELECT 1`)).toEqual([trigger, "SELECT 1"]);
  expect(statementsOf(`${trigger}\n;`)).toEqual([trigger]);
});

test("a table that is called trigger ends at its semicolon", () => {
  expect(statementsOf("CREATE TABLE trigger (a); SELECT 1")).toEqual([
    "CREATE TABLE trigger (a)",
    "SELECT 1",
  ]);
});

test("whatever the text, nothing is lost but semicolons, spaces and comments, and it ends", () => {
  const piece = fc.constantFrom(
    "SELECT",
    " ",
    ";",
    "'",
    '"',
    "--",
    "\n",
    "/*",
    "*/",
    "END",
    "CREATE TRIGGER ",
    "[",
    "]",
    "é",
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 40 }), (pieces) => {
      const sql = pieces.join("");
      let at = 0;
      for (const statement of statementsOf(sql)) {
        expect(statement).toBe(statement.trim());
        at = sql.indexOf(statement, at) + statement.length;
        expect(at).toBeGreaterThanOrEqual(statement.length);
      }
    }),
  );
});
