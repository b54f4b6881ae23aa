/** What the Worker may weigh: every start reads and compiles it, and Cloudflare limits it. */
import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { loadBundle, TEXTS } from "../../src/cli/bundle.ts";

const KIB = 1024;

/**
 * Compressed sizes in KiB. Raise one only with the reason here: who needs the bytes, and what they were weighed against.
 * 0.1.0: 390, from 475: zod is imported without its locales, and white space is removed. The texts in it are
 * CodeMirror (134) and uPlot (25) for the dashboard; the largest part of the rest is zod (about 45).
 * Since: 440, for R2's own storage (19). Before, Miniflare's ran beside the Worker.
 */
const BUDGETS = {
  sluice: 440,
  validator: 16,
} as const;

const TEXT_BUDGETS: Readonly<Record<keyof typeof TEXTS, number>> = {
  // Every loaded version carries this one.
  "#client": 10,
  "#dashboard/main": 3,
  "#dashboard/charts": 25,
  "#dashboard/editor": 135,
  "#dashboard/style": 4,
};

const compressed = (text: string | Uint8Array) => gzipSync(text).length / KIB;

test.each(Object.entries(BUDGETS))(
  "the Worker %s stays within its budget of %i KiB",
  async (entry, budget) => {
    const { modules } = await loadBundle(entry as keyof typeof BUDGETS);
    const size = modules.reduce((sum, { contents }) => sum + compressed(contents), 0);
    expect(size).toBeLessThan(budget);
  },
);

test.each(Object.entries(TEXT_BUDGETS))("%s stays within its budget of %i KiB", async (name, budget) => {
  const { value } = await TEXTS[name as keyof typeof TEXTS]();
  expect(compressed(value)).toBeLessThan(budget);
});
