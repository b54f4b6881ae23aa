/** Rollouts that operators watch and steer in the dashboard. */
import { expect, test } from "vitest";
import { answering, deploy, uploadVersion } from "../../support/client.ts";
import { picture, signIn } from "../../support/dashboard.ts";
import { TOKEN, waitUntil } from "../../support/server.ts";
import { KEY, server, useDashboard, useLoad, useVisitor } from "./visitor.ts";

useDashboard();

/** Fails for one client in eight. */
const FAILING_FOR_SOME = {
  modules: {
    "index.js": {
      content: `export default { fetch(request) {
        const client = Number(request.headers.get("${KEY}").split("-")[1]);
        return new Response("candidate", { status: client % 8 === 0 ? 500 : 200 });
      } };`,
    },
  },
};

test("a failing rollout rolls itself back while the page is open, and the page shows why", async () => {
  await deploy(server, "failing", answering("stable"));
  await uploadVersion(server, "failing", FAILING_FOR_SOME);
  const visitor = await useVisitor();
  const { page } = visitor;
  await signIn(visitor, server, TOKEN, "/workers/failing/rollouts");
  const seen = useLoad("failing");
  await page.fill("[name=stages]", "nonsense");
  await page.fill("[name=cohort]", "cookie:staff=1");
  await page.click("text=Start the rollout");
  await page.waitForSelector("text=is not a stage");
  expect(await page.inputValue("[name=stages]")).toBe("nonsense");
  expect(await page.inputValue("[name=cohort]")).toBe("cookie:staff=1");
  await page.fill("[name=stages]", "20%:10m,100%");
  await page.click("text=Start the rollout");
  await page.waitForURL(/rollouts\/[0-9a-f-]{36}$/);
  await page.waitForSelector(".phase.running");
  expect(await page.locator("#live-commands button").allTextContents()).toContain("Pause");
  await page.waitForSelector("#live-phase .phase.rolled_back", { timeout: 120_000 });
  expect(await page.textContent("#live-phase")).toMatch(/All traffic had moved .+ after the decision/);
  expect(await page.locator("#live-commands button").count()).toBe(0);
  expect(await page.textContent("#live-trail")).toContain("gate");
  expect(await page.textContent("#live-effect")).toMatch(
    /[1-9]\d* users have had a failure on the candidate/,
  );
  expect(await page.locator("#live-arms tbody th").allTextContents()).toEqual([
    "candidate",
    "baseline",
    "rest of the stable version",
    "cohort",
  ]);
  await page.click("summary");
  expect(await page.locator("[data-chart=evidence] tbody tr").count()).toBeGreaterThan(1);
  await picture(page, "rollout");
  seen.clear();
  await waitUntil(() => (seen.get("stable") ?? 0) > 50);
  expect([...seen.keys()]).toEqual(["stable"]);
});

test("a failed gate that holds says what an approval accepts, and goes on with it", async () => {
  await deploy(server, "accepted", answering("stable"));
  await uploadVersion(server, "accepted", FAILING_FOR_SOME);
  const visitor = await useVisitor();
  const { page, context } = visitor;
  await signIn(visitor, server, TOKEN, "/workers/accepted/rollouts");
  await page.selectOption("[name=on_fail]", "hold");
  await page.fill("[name=stages]", "20%:10m,40%:10m,100%");
  await page.fill("[name=max_harmed]", "3");
  await page.fill("[name=timeout_seconds]", "1");
  await page.click("text=Start the rollout");
  await page.waitForSelector(".phase.running");
  useLoad("accepted");
  await page.waitForSelector("#live-phase .phase.holding");
  expect(await page.textContent("#live-phase")).toContain("the plan allows fewer than 3");
  expect(await page.textContent("#live-phase .waiting")).toContain("Waits for an operator");
  expect(await page.textContent("#live-commands")).toContain("The limit of 3 users begins again.");
  const certificate = await context.request.get(`${page.url()}/certificate`);
  expect(certificate.headers()["content-disposition"]).toMatch(/^attachment; filename="accepted-/);
  expect((await certificate.json()).rows.length).toBeGreaterThan(0);
  await page.waitForSelector("#live-effect >> text=times as often as the baseline");
  await page.waitForSelector("#live-effect [role=img]");
  await picture(page, "rollout-holding");
  await page.click("text=Accept the failures and advance");
  await page.waitForSelector("#live-phase >> text=At 40%");
});

test("a rollout is paused, resumed and aborted from its page", async () => {
  await deploy(server, "steered", answering("stable"));
  await uploadVersion(server, "steered", answering("candidate"));
  const visitor = await useVisitor();
  const { page } = visitor;
  await signIn(visitor, server, TOKEN, "/workers/steered/rollouts");
  await page.selectOption("[name=template]", "careful");
  await page.click("text=Start the rollout");
  await page.waitForSelector("#live-phase >> text=Waits for time");
  for (const [button, phase] of [
    ["Pause", "paused"],
    ["Resume", "running"],
    ["Abort", "aborted"],
  ] as const) {
    await page.click(`#live-commands >> text=${button}`);
    await page.waitForSelector(`#live-phase .phase.${phase}`);
  }
  expect((await server.traffic("steered")).body).toBe("stable");
});
