/** `--wait` and `sluice rollout watch`: what ends them, what does not, and what they say. */
import { describe, expect, test } from "vitest";
import { NoAnswer } from "../../src/cli/api.ts";
import { UsageError } from "../../src/cli/data.ts";
import { type RolloutView, toText } from "../../src/cli/rollout-text.ts";
import { exitCode, watch } from "../../src/cli/rollout-watch.ts";
import { showRollout } from "../../src/control/rollout-view.ts";
import type { PlanInput } from "../../src/rollout/plan.ts";
import type { Rollout } from "../../src/rollout/types.ts";
import { makeRollout } from "../support/rollouts.ts";

/** As the API shows it. */
const view = (change: Partial<Rollout>, input: PlanInput = {}) =>
  showRollout(
    "shop",
    makeRollout(change, [{ share: 0.5, candidate: 2, reference: 2 }], input),
  ) as unknown as RolloutView;

const promoted = view({ phase: "promoted", reason: "every stage passed", waiting: null });

/** Watches a server that gives these answers, one after the other. */
async function follow(...answers: readonly (RolloutView | Error)[]) {
  const left = [...answers];
  const [printed, warned]: [string[], string[]] = [[], []];
  const ask = async () => {
    const next = left.shift();
    if (next === undefined) throw new Error("asked after the end");
    if (next instanceof Error) throw next;
    return next;
  };
  const screen = {
    print: (text: string) => void printed.push(text),
    warn: (text: string) => void warned.push(text),
    isTerminal: false,
  };
  return { ...(await watch({ ask, screen, pauseMs: 0 })), printed, warned, left };
}

describe("a wait for a rollout", () => {
  test("goes on while time, traffic or a freeze window can move the rollout, and says each once", async () => {
    const time = view({});
    const traffic = view({ phase: "holding", reason: "3 of 600 required visits", waiting: "traffic" });
    const frozen = view({ phase: "holding", reason: "no stage begins before Monday", waiting: "window" });
    const { rollout, printed, left } = await follow(time, time, traffic, traffic, frozen, time, promoted);
    expect([rollout, left]).toEqual([promoted, []]);
    expect(printed.map((line) => line.replace(/ \(.*/, ""))).toEqual([
      "shop: running, stage 1 of 5, waits for the end of the stage's time",
      "shop: holding, 3 of 600 required visits, waits for traffic",
      "shop: holding, no stage begins before Monday, waits for the end of a freeze window",
      "shop: running, stage 1 of 5, waits for the end of the stage's time",
      "shop: promoted, every stage passed",
    ]);
    expect(printed.at(-1)).toMatch(/\(2 users harmed; fails .* as often\)$/);
  });

  test("ends where an operator is needed, and its code says how it ended", async () => {
    const ends: readonly [Partial<Rollout>, number][] = [
      [{ phase: "promoted", waiting: null }, 0],
      [{ phase: "rolled_back", waiting: null }, 2],
      [{ phase: "aborted", waiting: null }, 3],
      [{ phase: "paused", waiting: "operator" }, 3],
      [{ phase: "awaiting_approval", waiting: "operator" }, 3],
      [{ phase: "holding", waiting: "operator" }, 3],
    ];
    for (const [change, code] of ends) {
      const { rollout, isTimedOut } = await follow(view({}), view(change));
      expect([rollout && exitCode(rollout), isTimedOut]).toEqual([code, false]);
    }
  });

  test("outlives a server that is away or fails, and says so once for each time", async () => {
    const away = new NoAnswer("No server answers.");
    const { rollout, warned } = await follow(view({}), away, away, view({}), away, promoted);
    expect(rollout).toBe(promoted);
    expect(warned).toEqual(Array(2).fill(expect.stringContaining("No server answers.")));
  });

  test("ends with the server's words where it refuses", async () => {
    await expect(follow(view({}), new UsageError("no such token"))).rejects.toThrow("no such token");
  });

  test("ends with its time, whether the server answers, is away or says nothing at all", async () => {
    const screen = { print: () => {}, warn: () => {}, isTerminal: false };
    const running = view({});
    const never = (signal: AbortSignal) =>
      new Promise<never>((_, reject) => {
        signal.addEventListener("abort", () => reject(new NoAnswer("ended")));
      });
    const servers = [
      async () => running,
      async () => Promise.reject(new NoAnswer("away")),
      (signal: AbortSignal) => never(signal),
    ];
    for (const answer of servers) {
      const signal = AbortSignal.timeout(20);
      const { isTimedOut } = await watch({ ask: () => answer(signal), screen, signal, pauseMs: 60_000 });
      expect(isTimedOut).toBe(true);
    }
  });
});

test("a rollout in words has its effect, the users harmed, what it waits for and how long the stage lasts", () => {
  const text = toText(
    view(
      { peer: { worker: "api", rollout_id: "r2", leads: false } },
      { cohort: { type: "cookie", name: "a", value: "b" } },
    ),
    Date.UTC(2026, 10, 17, 0, 2, 0),
  );
  expect(text).toMatch(/^Waits for {2}the end of the stage's time$/m);
  expect(text).toMatch(/^Effect {5}the candidate fails .* times as often as the baseline$/m);
  expect(text).toMatch(/^Harmed {5}2 users had a first failure on the candidate$/m);
  expect(text).toMatch(/^Linked {5}api, rollout r2$/m);
  // 10 minutes, of which 60 s were over 30 s ago.
  expect(text).toMatch(/▶ +1% for 10 min, 9 min left$/m);
  expect(text).toMatch(/^ {2}errors +E +1\.00 of 125$/m);
  expect(text).toMatch(/^ {2}candidate 2 with a failure, 20 visits$/m);
  expect(text).toMatch(/^ {2}cohort +0 with a failure, 0 visits$/m);
});
