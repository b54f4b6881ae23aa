import fc from "fast-check";
import { expect, test } from "vitest";
import { LineSplitter, LOG_LIMITS, LogBudget, readPrinted } from "../../src/cli/processes/log-lines.ts";

/** The lines of an output that arrives in these chunks. */
function linesOf(chunks: readonly Buffer[]) {
  const splitter = new LineSplitter();
  return chunks.flatMap((chunk) => [...splitter.push(chunk)]);
}

test("lines are the same wherever the output is broken into chunks", () => {
  const output = fc.array(fc.stringMatching(/^[^\n]*$/), { maxLength: 5 });
  fc.assert(
    fc.property(output, fc.array(fc.nat(200), { maxLength: 5 }), (lines, cuts) => {
      const bytes = Buffer.from(lines.map((line) => `${line}\n`).join(""));
      const ends = [...cuts.filter((cut) => cut < bytes.length).sort((x, y) => x - y), bytes.length];
      const chunks = ends.map((end, i) => bytes.subarray(ends[i - 1] ?? 0, end));
      expect(linesOf(chunks).map(({ text }) => text)).toEqual(lines);
    }),
  );
});

test("a line keeps its first bytes only, and the next line is whole", () => {
  const long = Buffer.alloc(LOG_LIMITS.lineBytes * 3, "a");
  const [first, second] = linesOf([long, long, Buffer.from("\nshort\n")]);
  expect(first).toEqual({
    text: "a".repeat(LOG_LIMITS.lineBytes),
    bytes: LOG_LIMITS.lineBytes,
    isCut: true,
  });
  expect(second).toEqual({ text: "short", bytes: 5, isCut: false });
});

test("each second has room for a number of lines and of bytes, and the others are counted once", () => {
  const budget = new LogBudget();
  const many = Array.from({ length: LOG_LIMITS.lines + 3 }, () => budget.allows(1, 5_000));
  expect(many.filter(Boolean).length).toBe(LOG_LIMITS.lines);
  expect([budget.takeDropped(), budget.takeDropped()]).toEqual([3, 0]);
  expect(budget.allows(LOG_LIMITS.bytes, 6_000)).toBe(true);
  expect(budget.allows(1, 6_999)).toBe(false);
  expect(budget.allows(1, 7_000)).toBe(true);
});

test("a line of the runtime is read wherever it was cut, and plain text is an error's", () => {
  const message = 'a "quoted" back\\slash, \u0001 and ü';
  const line = JSON.stringify({ timestamp: 1, level: "log", message }).replace("ü", "\\u00fc");
  expect(readPrinted({ text: line, isCut: false })).toEqual({ level: "log", message });
  const start = line.indexOf('"a ') + 1;
  for (let end = start; end < line.length - 2; end++) {
    const read = readPrinted({ text: line.slice(0, end), isCut: true });
    expect(read.level).toBe("log");
    expect(message.startsWith(read.message.replace("… (cut)", ""))).toBe(true);
  }
  const text = "*** Uncaught exception ***";
  expect(readPrinted({ text, isCut: false })).toEqual({ level: "error", message: text });
});
