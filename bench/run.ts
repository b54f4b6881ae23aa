/**
 * `npm run bench`: one table with every figure, its ratio and its target. `npm run bench -- requests` measures one part.
 * The exit code is 1 if a target is missed. See README.md.
 */
import { printTable, type Row } from "./table.ts";

const PARTS = [
  "decisions",
  "requests",
  "flips",
  "memory",
  "processes",
  "scale",
  "streams",
  "bindings",
  "assets",
  "nginx",
] as const;

const wanted = process.argv.slice(2);
const unknown = wanted.filter((part) => !(PARTS as readonly string[]).includes(part));
if (unknown.length > 0) {
  console.error(`Unknown part: ${unknown.join(", ")}. The parts are ${PARTS.join(", ")}.`);
  process.exit(2);
}

const rows: Row[] = [];
for (const part of wanted.length > 0 ? wanted : PARTS) {
  const { measure } = (await import(`./rows/${part}.ts`)) as { measure(): Promise<Row[]> };
  rows.push(...(await measure()));
}
printTable(rows);
if (rows.some(({ met }) => met === false)) process.exitCode = 1;
