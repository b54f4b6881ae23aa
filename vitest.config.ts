import { join, relative } from "node:path";
import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";

// Hundreds of commands are started: compiled once, wrangler takes half of the time.
process.env.NODE_COMPILE_CACHE ??= join(import.meta.dirname, "node_modules/.cache/node");

/** Folders of tests without a server: one for each folder of src/ whose parts are tested by themselves. */
const UNIT = [
  ...["account", "assets", "bindings", "cli", "control", "dashboard", "events", "lib", "metrics"],
  ...["registry", "rollout", "router", "runtime", "storage", "versions", "workers"],
];

/** A test that takes longer hangs. Far more than any takes: a busy machine must not fail one. */
const HANGS_MS = 300_000;

/** Tests that take minutes of computing: large populations and many simulated hours. */
const STATISTICS = "test/**/*.statistics.test.ts";

/** Servers of one process, where it does not matter in which one a version runs. */
const SINGLE = { SLUICE_TEST_SINGLE: "1" };

/** The tests of the processes themselves. */
const PROCESSES = ["fleet/*", "attacks/*", "crash", "lifecycle/*", "concurrency", "rollouts"].map(
  (file) => `test/system/${file}.test.ts`,
);

/** The tests that say what a Worker does. Those of what becomes of versions make their own splits. */
const SPLIT = [
  "bindings/kv",
  "bindings/r2",
  "bindings/d1",
  "bindings/queue",
  "bindings/objects",
  "bindings/service",
  "bindings/limits",
  "assets/*",
  "affinity",
].map((file) => `test/system/${file}.test.ts`);

/**
 * Some tests of the router are about Workers with one version, so they run in both ways. Of the others, the run with two
 * versions says more, and the one without them is left to `npm run test:full`.
 */
const ROUTER = "test/system/router/*.test.ts";
const IS_FULL = process.env.SLUICE_TEST_FULL === "1";

/** The longest files, longest first: each starts before all shorter ones, so that none is left over at the end. */
const LONGEST: readonly string[] = [
  "conformance/bindings.test.ts",
  "system/rollouts-evidence.test.ts",
  "conformance/secrets.test.ts",
  "conformance/templates.test.ts",
  "conformance/triggers.test.ts",
  "browser/dashboard/pages.test.ts",
  "system/fleet/held.test.ts",
  "system/fleet/changes.test.ts",
  "system/crash.test.ts",
  "conformance/deploy.test.ts",
  "conformance/rollback.test.ts",
  "system/bindings/state.test.ts",
  "conformance/versions.test.ts",
  "conformance/refusals.test.ts",
  "conformance/tail.test.ts",
  "system/lifecycle/safe-mode.test.ts",
  "system/fleet/incidents.test.ts",
  "system/fleet/ceilings.test.ts",
  "conformance/tour.test.ts",
  "system/lifecycle/start.test.ts",
  "system/lifecycle/stop.test.ts",
  "system/lifecycle/offline.test.ts",
  "conformance/split.test.ts",
  "system/rollouts-linked.test.ts",
  "system/fleet/baseline.test.ts",
  "system/rollouts-cpu.test.ts",
  "system/rollouts.test.ts",
  "system/fleet/harm.test.ts",
  "system/crons.test.ts",
  "rollout/gate.statistics.test.ts",
];

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification) => {
      const found = LONGEST.indexOf(relative(join(import.meta.dirname, "test"), moduleId));
      return found === -1 ? LONGEST.length : found;
    };
    return (await super.sort(files)).sort((a, b) => rank(a) - rank(b));
  }
}

export default defineConfig({
  test: {
    // Each project says what it needs; all of them run with `npm test`.
    projects: [
      // Decisions without I/O: seconds in all (`npm run test:unit`).
      {
        test: {
          name: "unit",
          include: UNIT.map((folder) => `test/${folder}/**/*.test.ts`),
          exclude: [STATISTICS],
          // They leave nothing behind; a process for each file would take longer than what it runs.
          isolate: false,
          // They take milliseconds; beside the servers of other tests on two cores, some take seconds.
          testTimeout: 30_000,
        },
      },
      {
        test: {
          name: "statistics",
          include: [STATISTICS],
          testTimeout: HANGS_MS,
        },
      },
      // The whole program, started as `sluice serve` on free ports with a data folder of its own.
      {
        test: {
          name: "system",
          include: ["test/system/**/*.test.ts"],
          exclude: IS_FULL ? PROCESSES : [...PROCESSES, ...SPLIT],
          env: SINGLE,
          testTimeout: HANGS_MS,
          hookTimeout: HANGS_MS,
        },
      },
      // The same in the processes that users have by default.
      {
        test: {
          name: "processes",
          include: PROCESSES,
          testTimeout: HANGS_MS,
          hookTimeout: HANGS_MS,
        },
      },
      // The real wrangler against it: a second or two per command.
      {
        test: {
          name: "conformance",
          include: ["test/conformance/**/*.test.ts"],
          env: SINGLE,
          testTimeout: HANGS_MS,
          hookTimeout: HANGS_MS,
        },
      },
      // What Workers do, once more, in those processes and with two versions of every Worker at 50/50.
      {
        test: {
          name: "split",
          include: IS_FULL ? [...SPLIT, ROUTER] : SPLIT,
          env: { SLUICE_TEST_SPLIT: "50" },
          testTimeout: HANGS_MS,
          hookTimeout: HANGS_MS,
        },
      },
      // The pages, in a real browser.
      {
        test: {
          name: "browser",
          include: ["test/browser/**/*.test.ts"],
          env: SINGLE,
          testTimeout: HANGS_MS,
          hookTimeout: HANGS_MS,
        },
      },
    ],
    sequence: { sequencer: LongestFirst },
    // A server and its clients per worker. On two cores a third one uses the time that the others wait.
    maxWorkers: 3,
  },
});
