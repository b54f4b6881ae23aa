/** The plan of a rollout in the API's body: complete, strict, and the same as in the API's view. */
import { describe, expect, test } from "vitest";
import { rolloutBody } from "../../src/control/rollout-body.ts";
import { check } from "../../src/control/schemas.ts";
import { makePlan } from "../../src/rollout/plan.ts";

const FULL = {
  version_id: "latest",
  stages: [{ percentage: 0, soak_seconds: 60, min_exposures: 5, approval: "manual" }, { percentage: 5 }],
  on_fail: "hold",
  gates: {
    alpha: 0.02,
    margin: 1.5,
    latency: false,
    reference: "stable",
    failures: { statuses: [404, 429], timeout_seconds: 10, body: false, dataset: "outcomes" },
    max_harmed: 10,
    require: "evidence",
  },
  cohort: { type: "header", name: "X-Team", value: "edge" },
  smoke: [{ path: "/health", method: "HEAD", status: 204 }],
  freeze: [{ cron: "0 18 * * 5", hours: 62, timezone: "Europe/Berlin" }],
  linked: { worker: "api", version_id: "v2" },
};

/** The refusal, without its introduction. */
function refusal(body: object): string | undefined {
  const checked = check({ ...FULL, ...body }, rolloutBody);
  return checked.ok ? undefined : (checked.error as { detail: string }).detail;
}

describe("the body that starts a rollout", () => {
  test("takes every field of a plan, and a plan that the API has shown", () => {
    expect(check(FULL, rolloutBody)).toEqual({ ok: true, value: FULL });
    const plan = makePlan({});
    if (!plan.ok) throw new Error(plan.error);
    const again = check({ version_id: "latest", ...plan.value }, rolloutBody);
    expect(again.ok).toBe(true);
  });

  test("refuses a field that nobody knows by its name, at every depth", () => {
    const { gates, cohort } = FULL;
    const bodies: readonly [object, string][] = [
      [{ stagse: [] }, "stagse"],
      [{ gates: { ...gates, alhpa: 0.1 } }, "alhpa"],
      [{ gates: { ...gates, failures: { timeout: 3 } } }, "timeout"],
      [{ stages: [{ percentage: 5, soak: 3 }] }, "soak"],
      [{ cohort: { ...cohort, key: "1" } }, "key"],
      [{ smoke: [{ path: "/", url: "/" }] }, "url"],
      [{ freeze: [{ cron: "0 0 * * *", hours: 1, zone: "UTC" }] }, "zone"],
      [{ linked: { worker: "api", version_id: "v2", version: "v2" } }, "version"],
    ];
    for (const [body, name] of bodies) expect(refusal(body)).toContain(`"${name}"`);
  });

  test("refuses values outside of their limits, with the path to each", () => {
    const { gates } = FULL;
    const failing = (failures: object) => ({ gates: { ...gates, failures } });
    const bodies: readonly [object, string][] = [
      [failing({ statuses: [500] }), "gates.failures.statuses.0"],
      [failing({ timeout_seconds: 301 }), "gates.failures.timeout_seconds"],
      [failing({ dataset: "no spaces" }), "gates.failures.dataset"],
      [{ gates: { ...gates, max_harmed: 0 } }, "gates.max_harmed"],
      [{ gates: { ...gates, require: "luck" } }, "gates.require"],
      [{ cohort: { type: "address", name: "a", value: "b" } }, "cohort.type"],
      [{ cohort: { type: "cookie", name: "a b", value: "b" } }, "cohort.name"],
      [{ smoke: Array(21).fill({ path: "/" }) }, "smoke"],
      [{ freeze: Array(11).fill({ cron: "0 0 * * *", hours: 1 }) }, "freeze"],
      [{ freeze: [{ cron: "0 0 * * *", hours: 337 }] }, "freeze.0.hours"],
      [{ linked: { worker: "", version_id: "v2" } }, "linked.worker"],
    ];
    for (const [body, path] of bodies) expect(refusal(body)).toContain(`${path}: `);
  });
});
