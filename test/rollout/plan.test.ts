/** Plans: what operators may leave out, what is refused and in which words, and their short notation. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  makePlan,
  parseDuration,
  parseStages,
  type PlanInput,
  stageText,
  TEMPLATES,
} from "../../src/rollout/plan.ts";

const wrong = (input: PlanInput) => {
  const made = makePlan(input);
  return made.ok ? undefined : made.error;
};

describe("a plan", () => {
  test("has a default for everything", () => {
    expect(makePlan({})).toMatchObject({
      ok: true,
      value: {
        stages: TEMPLATES.standard,
        on_fail: "rollback",
        gates: {
          alpha: 0.01,
          reference: "baseline",
          failures: { statuses: [], timeout_seconds: 30, body: true, dataset: null },
          max_harmed: null,
          require: "exposures",
        },
        cohort: null,
        smoke: [],
        freeze: [],
        linked: null,
      },
    });
  });

  test("keeps what it is given, and can be made again from itself", () => {
    const input: PlanInput = {
      stages: [{ percentage: 0, soak_seconds: 60 }, { percentage: 5 }],
      gates: { max_harmed: 3, failures: { statuses: [429], timeout_seconds: 5 } },
      cohort: { type: "cookie", name: "staff", value: "1" },
      smoke: [{ path: "/health" }],
      freeze: [{ cron: "0 18 * * 5", hours: 62, timezone: "Europe/Berlin" }],
      linked: { worker: "api", version_id: "v2" },
    };
    const made = makePlan(input);
    if (!made.ok) throw new Error(made.error);
    expect(made.value.stages.map(({ percentage, min_exposures }) => [percentage, min_exposures])).toEqual([
      [0, 0],
      [5, 600],
      [100, 0],
    ]);
    expect(made.value.gates).toMatchObject({ max_harmed: 3, alpha: 0.01 });
    expect(made.value.gates.failures).toEqual({
      statuses: [429],
      timeout_seconds: 5,
      body: true,
      dataset: null,
    });
    expect(made.value.smoke).toEqual([{ path: "/health", method: "GET", status: null }]);
    expect(makePlan(made.value)).toEqual(made);
  });

  test("that makes no sense is refused, in words that say where", () => {
    const cases: readonly [PlanInput, string][] = [
      [{ stages: [] }, "has no stages"],
      [{ stages: [{ percentage: 0 }, { percentage: 5 }] }, "has a stage at 0%, which needs a cohort"],
      [{ stages: [{}] }, "has a stage at -1%; use more than 0 and at most 100"],
      [{ stages: [{ percentage: 5.0001 }] }, "has a stage at 5.0001%; use at most three decimals"],
      [
        { stages: [{ percentage: 5 }, { percentage: 5 }] },
        "goes from 5% to 5%; each stage must be larger than the one before",
      ],
      [{ stages: [{ percentage: 5 }], template: "fast" }, "has both stages and a template; give one of them"],
      [{ smoke: [{ path: "health" }] }, 'has a smoke request for "health"; its path must begin with a slash'],
      [
        { stages: [{ percentage: 100 }], gates: { require: "evidence" } },
        "requires evidence, but has no stage between 0% and 100% in which there could be any",
      ],
    ];
    for (const [input, why] of cases) expect(wrong(input)).toBe(why);
    expect(wrong({ freeze: [{ cron: "never", hours: 1 }] })).toMatch(
      /^has a freeze window that is not valid/,
    );
    expect(wrong({ freeze: [{ cron: "0 0 * * *", hours: 1, timezone: "Mars/Phobos" }] })).toMatch(
      /^has a freeze window that is not valid/,
    );
  });
});

describe("the short notation", () => {
  test("of stages is read as it is written", () => {
    const stage = fc.record({
      percentage: fc.integer({ min: 1, max: 99_999 }).map((thousandths) => thousandths / 1000),
      soak_seconds: fc.integer({ min: 0, max: 200_000 }),
      approval: fc.constantFrom("auto" as const, "manual" as const),
    });
    fc.assert(
      fc.property(fc.array(stage, { minLength: 1, maxLength: 5 }), (stages) => {
        const text = stages.map((each) => stageText({ ...each, min_exposures: 0 })).join(",");
        const parsed = parseStages(text);
        const whole =
          parsed.ok && parsed.value.map((each) => ({ soak_seconds: 0, approval: "auto", ...each }));
        expect(whole).toEqual(stages);
      }),
    );
    expect(parseStages("5%:10")).toMatchObject({ ok: false, error: expect.stringContaining('"5%:10"') });
  });

  test("of times has a unit", () => {
    const texts = ["90s", "10m", "1.5h", "2d", "10", "1.2.3m", "m", "", "-1s"];
    expect(texts.map(parseDuration)).toEqual([90, 600, 5_400, 172_800, ...Array(5).fill(undefined)]);
  });
});
