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
  await page.click("text=Start the rollout");
  await page.waitForSelector("text=is not a stage");
  await page.fill("[name=stages]", "20%:10m,100%");
  await page.click("text=Start the rollout");
  await page.waitForURL(/rollouts\/[0-9a-f-]{36}$/);
  await page.waitForSelector(".phase.running");
  expect(await page.locator("#live-commands button").allTextContents()).toContain("Pause");
  await page.waitForSelector("#live-phase .phase.rolled_back", { timeout: 120_000 });
  expect(await page.textContent("#live-phase")).toMatch(/All traffic had moved .+ after the decision/);
  expect(await page.locator("#live-commands button").count()).toBe(0);
  expect(await page.textContent("#live-trail")).toContain("gate");
  await page.click("summary");
  expect(await page.locator("[data-chart=evidence] tbody tr").count()).toBeGreaterThan(1);
  await picture(page, "rollout");
  seen.clear();
  await waitUntil(() => (seen.get("stable") ?? 0) > 50);
  expect([...seen.keys()]).toEqual(["stable"]);
});

test("a rollout is paused, resumed and aborted from its page", async () => {
  await deploy(server, "steered", answering("stable"));
  await uploadVersion(server, "steered", answering("candidate"));
  const visitor = await useVisitor();
  const { page } = visitor;
  await signIn(visitor, server, TOKEN, "/workers/steered/rollouts");
  await page.selectOption("[name=template]", "careful");
  await page.click("text=Start the rollout");
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
