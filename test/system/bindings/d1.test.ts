import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { PROCESSES } from "../../support/client.ts";
import { disposeServer, type Server, startServer } from "../../support/server.ts";
import { runBoth } from "./compare.ts";

const BODY = `
const { DB } = env;
const run = (name, sql, ...values) => record(name, () => values.length === 0 ? DB.prepare(sql).run() : DB.prepare(sql).bind(...values).run());
await run("create", "CREATE TABLE item (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE, price REAL, data BLOB)");
await run("insert", "INSERT INTO item (name, price) VALUES (?, ?)", "one", 1.5);
await run("insert by number", "INSERT INTO item (name, price) VALUES (?2, ?1)", 2, "two");
await run("insert null", "INSERT INTO item (name, price) VALUES (?, ?)", "nothing", null);
await run("insert true", "INSERT INTO item (name, price) VALUES (?, ?)", "true", true);
await run("insert bytes", "INSERT INTO item (name, data) VALUES (?, ?)", "bytes", new Uint8Array([1, 2, 255]).buffer);
await run("insert view", "INSERT INTO item (name, data) VALUES (?, ?)", "view", new Uint8Array([3, 4]));
await run("insert array", "INSERT INTO item (name, data) VALUES (?, ?)", "array", [5, 6]);
await record("all", () => DB.prepare("SELECT * FROM item ORDER BY id").all());
await record("all of none", () => DB.prepare("SELECT * FROM item WHERE id = -1").all());
await record("bound all", () => DB.prepare("SELECT name FROM item WHERE price > ?").bind(1).all());
await record("first", () => DB.prepare("SELECT * FROM item WHERE name = ?").bind("two").first());
await record("first column", () => DB.prepare("SELECT * FROM item WHERE name = ?").bind("two").first("price"));
await record("first of none", () => DB.prepare("SELECT * FROM item WHERE id = -1").first());
await record("first column of none", () => DB.prepare("SELECT * FROM item WHERE id = -1").first("price"));
await record("first missing column", () => DB.prepare("SELECT * FROM item").first("missing"));
await record("raw", () => DB.prepare("SELECT id, name FROM item WHERE id < 3").raw());
await record("raw with names", () => DB.prepare("SELECT id, name FROM item WHERE id < 3").raw({ columnNames: true }));
await record("raw of none with names", () => DB.prepare("SELECT id FROM item WHERE id < 0").raw({ columnNames: true }));
await record("raw of columns of one name", () => DB.prepare("SELECT 1 AS a, 2 AS a").raw());
await record("all of columns of one name", () => DB.prepare("SELECT 1 AS a, 2 AS a").all());
await record("update", () => DB.prepare("UPDATE item SET price = 9 WHERE id < 3").run());
await record("delete", () => DB.prepare("DELETE FROM item WHERE name = 'true'").run());
await record("returning", () => DB.prepare("INSERT INTO item (name) VALUES ('back') RETURNING id, name").all());
await record("integers", () => DB.prepare("SELECT 9007199254740991 AS big, -5 AS small, 1.0 AS real, 0.1 AS tenth").first());
await record("types", () => DB.prepare("SELECT typeof(?) AS a, typeof(?) AS b, typeof(?) AS c, typeof(?) AS d").bind(1, 1.5, "x", null).first());
await record("batch", () => DB.batch([
  DB.prepare("INSERT INTO item (name) VALUES (?)").bind("batch"),
  DB.prepare("SELECT count(*) AS n FROM item"),
]));
await record("batch of none", () => DB.batch([]));
await record("failing batch", () => DB.batch([
  DB.prepare("INSERT INTO item (name) VALUES ('half')"),
  DB.prepare("INSERT INTO item (name) VALUES ('half')"),
]));
await record("nothing of a failing batch", () => DB.prepare("SELECT count(*) AS n FROM item WHERE name = 'half'").first("n"));
await record("exec", () => DB.exec("INSERT INTO item (name) VALUES ('exec1');\\nINSERT INTO item (name) VALUES ('exec2');"));
await record("failing exec", () => DB.exec("INSERT INTO item (name) VALUES ('exec3');\\nINSERT INTO nowhere VALUES (1);"));
await record("no such table", () => DB.prepare("SELECT * FROM nowhere").all());
await record("no such table, first", () => DB.prepare("SELECT * FROM nowhere").first());
await record("no such table, raw", () => DB.prepare("SELECT * FROM nowhere").raw());
await record("syntax error", () => DB.prepare("SELEC 1").run());
await record("constraint", () => DB.prepare("INSERT INTO item (name) VALUES ('one')").run());
await record("too few values", () => DB.prepare("SELECT ?, ?").bind(1).all());
await record("too many values", () => DB.prepare("SELECT ?").bind(1, 2).all());
await record("no values", () => DB.prepare("SELECT ?").all());
await record("undefined value", () => DB.prepare("SELECT ?").bind(undefined).all());
await record("object value", () => DB.prepare("SELECT ?").bind({}).all());
await record("bigint value", () => DB.prepare("SELECT ?").bind(1n).all());
await record("symbol value", () => DB.prepare("SELECT ?").bind(Symbol("s")).all());
await record("function value", () => DB.prepare("SELECT ?").bind(() => {}).all());
await record("empty", () => DB.prepare("").run());
await record("two statements", () => DB.prepare("SELECT 1; SELECT 2").all());
await record("comment", () => DB.prepare("-- nothing").all());
await record("transaction", () => DB.prepare("BEGIN").run());
await record("pragma", () => DB.prepare("PRAGMA table_info(item)").all());
await record("forbidden pragma", () => DB.prepare("PRAGMA journal_mode = DELETE").all());
await record("statements are apart", async () => {
  const base = DB.prepare("SELECT ? AS v");
  const [a, b] = [base.bind(1), base.bind(2)];
  return [await a.first("v"), await b.first("v")];
});
await record("session", async () => {
  const session = DB.withSession();
  const first = await session.prepare("SELECT 1 AS one").first("one");
  const many = await session.batch([session.prepare("SELECT 2 AS two")]);
  return [first, many[0].results, typeof session.getBookmark()];
});
await record("session first-primary", () => DB.withSession("first-primary").prepare("SELECT 1 AS one").first());
await record("bookmark before", () => DB.withSession().getBookmark());
await record("parallel", async () => (await Promise.all(Array.from({ length: 20 }, (_, i) => DB.prepare("SELECT ? AS v").bind(i).first("v")))).join());
await record("unicode", () => DB.prepare("SELECT ? AS v").bind("\\u{1F600} ü \\u0000 end").first("v"));
await record("foreign keys", () => DB.exec("CREATE TABLE parent (id INTEGER PRIMARY KEY);\\nCREATE TABLE child (p INTEGER REFERENCES parent(id));").then(() => DB.prepare("INSERT INTO child VALUES (1)").run()));
await record("names", () => [DB.constructor.name, DB.prepare("SELECT 1").constructor.name, DB.withSession().constructor.name]);`;

/** Without what differs from run to run, or says where it ran. */
function steady(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(steady);
  if (typeof value !== "object" || value === null) return value;
  const varying = [
    "duration",
    "size_after",
    "served_by",
    "served_by_region",
    "served_by_primary",
    "timings",
    "total_attempts",
  ];
  return Object.fromEntries(
    Object.entries(value).map(([key, each]) => [key, varying.includes(key) ? typeof each : steady(each)]),
  );
}

describe.each(PROCESSES)("with --processes %i", (processes) => {
  let server: Server;

  beforeAll(async () => {
    server = await startServer({ args: ["--processes", String(processes)] });
  });

  afterAll(() => disposeServer(server));

  test("a D1 database answers as it answers a plain Worker, errors included", async () => {
    const { plain, sluice } = await runBoth(server, "d1", {
      miniflare: { d1Databases: { DB: "one" } },
      metadata: { bindings: [{ type: "d1", name: "DB", id: "11111111-2222-4333-8444-555555555555" }] },
      body: BODY,
    });
    expect(steady(sluice)).toEqual(steady(plain));
  });
});
