/** Who gets into the dashboard, and what each may do there. */
import { describe, expect, test } from "vitest";
import { call } from "../../support/client.ts";
import { signIn } from "../../support/dashboard.ts";
import { TOKEN, waitUntil } from "../../support/server.ts";
import { activeSplit, server, useDashboard, useSplit, useVisitor } from "./visitor.ts";

useDashboard();

describe("signing in", () => {
  test("accepts a token without keeping it in the browser, and refuses a wrong one", async () => {
    const visitor = await useVisitor();
    const { page, context } = visitor;
    await page.goto(`${server.control}/workers/nothing?page=2`);
    await page.fill("#token", "wrong-token");
    await page.click("main button[type=submit]");
    await page.waitForSelector("text=This token is not valid on this server.");
    expect(await context.cookies()).toEqual([]);
    await signIn(visitor, server);
    const [cookie] = await context.cookies();
    expect(cookie).toMatchObject({ name: "sluice_session", httpOnly: true, sameSite: "Strict" });
    expect(cookie?.value).not.toContain(TOKEN);
    expect(await page.evaluate(() => [document.cookie, localStorage.length])).toEqual(["", 0]);
  });

  test("returns to the requested page, and never to another site", async () => {
    await useSplit("coming-back", 10);
    const { page } = await useVisitor();
    for (const [next, end] of [
      ["/workers/coming-back/audit", "/workers/coming-back/audit"],
      ["https://example.com/", "/"],
      ["//example.com/", "/"],
      ["/\\example.com", "/"],
    ] as const) {
      await page.context().clearCookies();
      await page.goto(`${server.control}/sign-in?next=${encodeURIComponent(next)}`);
      await page.fill("#token", TOKEN);
      await page.click("main button[type=submit]");
      await page.waitForURL(`${server.control}${end}`);
    }
  });

  test("ends everywhere at once: an open page asks to sign in again, and returns to where it was", async () => {
    await useSplit("signed-out", 10);
    const { result: token } = await call(server, "POST", "/tokens", { name: "everywhere", role: "deploy" });
    const [here, there] = [await useVisitor(), await useVisitor()];
    await signIn(here, server, token.value, "/workers/signed-out");
    await signIn(there, server, token.value, "/access");
    // A form that is still open when the session ends.
    const form = await here.context.newPage();
    await form.goto(`${server.control}/workers/signed-out/settings`);
    await there.page.click("text=Sign out everywhere");
    await there.page.waitForURL(/sign-in/);
    await here.page.waitForURL(/sign-in\?next=%2Fworkers%2Fsigned-out/);
    await form.click("fieldset button");
    await form.waitForSelector("text=Your session has ended. Nothing was changed. Sign in to continue.");
    await here.page.fill("#token", token.value);
    await here.page.click("main button[type=submit]");
    await here.page.waitForURL(`${server.control}/workers/signed-out`);
  });
});

test("a reader sees everything and no button, and a form that a reader sends anyway changes nothing", async () => {
  const { stable } = await useSplit("read-only", 10);
  const { result: token } = await call(server, "POST", "/tokens", { name: "viewer", role: "read" });
  const visitor = await useVisitor();
  const { page, context } = visitor;
  await signIn(visitor, server, token.value, "/workers/read-only");
  const buttons = () => page.locator("main button:visible, main a.button").allTextContents();
  expect(await page.textContent("main")).toContain("10% configured");
  for (const path of ["", "/versions", "/rollouts", "/audit", "/settings", `/versions/${stable}`]) {
    await page.goto(`${server.control}/workers/read-only${path}`);
    const compare = path === "/versions" ? ["Compare versions"] : [];
    expect(await buttons(), path).toEqual(compare);
  }
  await page.goto(`${server.control}/access`);
  expect(await buttons()).toEqual(["Sign out everywhere"]);
  const csrf = await page.locator("[name=csrf]").first().getAttribute("value");
  const { result } = await call(server, "GET", "/workers/scripts/read-only/deployments");
  for (const [path, form] of [
    [
      "/workers/read-only/split",
      { stable, candidate: stable, percentage: "100", base: result.deployments[0].id },
    ],
    ["/workers/read-only/settings/options", { versions: "1", hours: "1" }],
    ["/access/tokens", { name: "sneaky", role: "admin" }],
  ] as const) {
    const answer = await context.request.post(`${server.control}${path}`, {
      form: { csrf: csrf ?? "", ...form },
      headers: { Origin: server.control, "Sec-Fetch-Site": "same-origin" },
    });
    expect(answer.status(), path).toBe(403);
  }
  expect(await activeSplit("read-only")).toMatchObject([{ percentage: 90 }, { percentage: 10 }]);
  const names = (await call(server, "GET", "/tokens")).result.map(({ name }: { name: string }) => name);
  expect(names).not.toContain("sneaky");
});

test("tokens are created and revoked on the page, each shown once", async () => {
  const visitor = await useVisitor();
  const { page } = visitor;
  await signIn(visitor, server, TOKEN, "/access");
  await page.fill("[name=name]", "made-here");
  await page.selectOption("[name=role]", "read");
  await page.click("text=Create token");
  const value = (await page.textContent("#made")) ?? "";
  const verify = () =>
    fetch(`${server.control}/client/v4/user`, { headers: { Authorization: `Bearer ${value}` } });
  expect((await verify()).status).toBe(200);
  await page.goto(`${server.control}/access`);
  expect(await page.content()).not.toContain(value);
  await page.click("text=Revoke made-here");
  await page.waitForURL(`${server.control}/access`);
  await waitUntil(async () => (await verify()).status === 401);
});
