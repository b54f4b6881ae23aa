import { join } from "node:path";
import { defineConfig } from "vitest/config";

// Hundreds of commands are started: compiled once, wrangler takes half of the time.
process.env.NODE_COMPILE_CACHE ??= join(import.meta.dirname, "node_modules/.cache/node");

/** The tests that say what a Worker does. Those of what becomes of versions make their own splits. */
const SPLIT = [
  "bindings/kv",
  "bindings/r2",
  "bindings/d1",
  "bindings/queue",
  "bindings/objects",
  "bindings/service",
  "bindings/limits",
  "router",
  "assets",
  "affinity",
];

export default defineConfig({
  test: {
    // Each project says what it needs; all of them run with `npm test`.
    projects: [
      // Decisions without I/O: fast, so they come first.
      {
        test: {
          name: "unit",
          include: [
            "test/{assets,bindings,cli,dashboard,events,metrics,rollout,router,runtime,versions,workers}/**/*.test.ts",
          ],
        },
      },
      // The whole program, started as `sluice serve` on free ports with a data folder of its own.
      {
        test: {
          name: "system",
          include: ["test/system/**/*.test.ts"],
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      // The real wrangler against it: a second or two per command.
      {
        test: {
          name: "conformance",
          include: ["test/conformance/**/*.test.ts"],
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
      // What Workers do, once more, with two versions of every Worker at 50/50.
      {
        test: {
          name: "split",
          include: SPLIT.map((file) => `test/system/${file}.test.ts`),
          env: { SLUICE_TEST_SPLIT: "50" },
          testTimeout: 120_000,
          hookTimeout: 60_000,
        },
      },
      // The pages, in a real browser.
      {
        test: {
          name: "browser",
          include: ["test/browser/**/*.test.ts"],
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
    ],
    // A server and its clients per worker. On two cores a third one uses the time that the others wait.
    maxWorkers: 3,
  },
});
