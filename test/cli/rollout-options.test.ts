/** The options of `sluice rollout start` as the API gets them. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { UsageError } from "../../src/cli/data.ts";
import {
  bodyOf,
  toCohort,
  toFreeze,
  toLinked,
  toSeconds,
  toSmoke,
  toStatuses,
} from "../../src/cli/rollout-options.ts";
import { TEMPLATES } from "../../src/rollout/plan.ts";

describe("the options of sluice rollout start", () => {
  test("that are left out are no part of the body: the server has the defaults", () => {
    expect(bodyOf({ to: "latest" })).toEqual({ version_id: "latest" });
    expect(bodyOf({ to: "latest", cpu: true })).toEqual({ version_id: "latest" });
  });

  test("make a whole plan", () => {
    const body = bodyOf({
      to: "next",
      stages: "0%:1h,5%:10m:manual",
      onFail: "hold",
      alpha: 0.02,
      minExposures: 50,
      reference: "stable",
      failStatus: toStatuses("429, 404"),
      failAfter: toSeconds("10s"),
      failDataset: "outcomes",
      maxHarmed: 20,
      cpu: false,
      require: "evidence",
      cohort: toCohort("cookie:staff=1"),
      smoke: toSmoke("post /orders 201", toSmoke("/health")),
      freeze: toFreeze("0 18 * * 5;62h;Europe/Berlin", toFreeze("0 0 24 12 *;3d")),
      link: toLinked("api@v2"),
    });
    expect(body).toEqual({
      version_id: "next",
      stages: [
        { percentage: 0, soak_seconds: 3_600, min_exposures: 50 },
        { percentage: 5, soak_seconds: 600, min_exposures: 50, approval: "manual" },
      ],
      on_fail: "hold",
      gates: {
        alpha: 0.02,
        reference: "stable",
        max_harmed: 20,
        cpu: false,
        require: "evidence",
        failures: { statuses: [429, 404], timeout_seconds: 10, dataset: "outcomes" },
      },
      cohort: { type: "cookie", name: "staff", value: "1" },
      smoke: [{ path: "/health" }, { method: "POST", path: "/orders", status: 201 }],
      freeze: [
        { cron: "0 0 24 12 *", hours: 72 },
        { cron: "0 18 * * 5", hours: 62, timezone: "Europe/Berlin" },
      ],
      linked: { worker: "api", version_id: "v2" },
    });
  });

  test("go before the plan of a file, field by field", () => {
    const folder = mkdtempSync(join(tmpdir(), "sluice-plan-"));
    const plan = join(folder, "plan.json");
    const inFile = {
      template: "fast",
      gates: { alpha: 0.1, failures: { statuses: [404], body: false } },
      unknown: 1,
    };
    writeFileSync(plan, JSON.stringify(inFile));
    try {
      expect(bodyOf({ to: "latest", plan })).toEqual({ version_id: "latest", ...inFile });
      expect(bodyOf({ to: "latest", plan, stages: "5%", maxHarmed: 3, failAfter: 5 })).toEqual({
        version_id: "latest",
        stages: [{ percentage: 5 }],
        gates: { alpha: 0.1, max_harmed: 3, failures: { statuses: [404], body: false, timeout_seconds: 5 } },
        unknown: 1,
      });
      writeFileSync(plan, "[]");
      expect(() => bodyOf({ to: "latest", plan })).toThrow(/has no plan: it must contain a JSON object/);
      writeFileSync(plan, "{");
      expect(() => bodyOf({ to: "latest", plan })).toThrow(/^Cannot read the plan in/);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test("that set the visits of each stage set those of a template as well", () => {
    const { stages } = bodyOf({ to: "latest", template: "fast", minExposures: 7 }) as { stages: object[] };
    expect(stages).toEqual(TEMPLATES.fast.map((stage) => ({ ...stage, min_exposures: 7 })));
  });

  test("are refused where they are misspelt, with an example of what is meant", () => {
    const cases: readonly [() => unknown, RegExp][] = [
      [() => toSeconds("10"), /90s, 10m, 2h or 1d/],
      [() => toStatuses("429,500"), /"500" is not a status from 400 to 499/],
      [() => toCohort("staff=1"), /cookie:<name>=<value>/],
      [() => toSmoke("GET health"), /"GET \/health"/],
      [() => toFreeze("0 18 * * 5"), /<cron>;<length>/],
      [() => toLinked("api"), /<worker>@<version id>/],
    ];
    for (const [read, message] of cases) {
      expect(read).toThrow(UsageError);
      expect(read).toThrow(message);
    }
  });
});
