/** Changes that operators make in the dashboard: the split, edits and settings. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Page } from "playwright-core";
import { describe, expect, test } from "vitest";
import { answering, call, createDeployment, deploy } from "../../support/client.ts";
import { picture, signIn } from "../../support/dashboard.ts";
import { TOKEN, waitUntil } from "../../support/server.ts";
import { activeSplit, server, useDashboard, useLoad, useSplit, useVisitor } from "./visitor.ts";

useDashboard();

describe("the split", () => {
  test("is changed with the slider and the number, shows in advance who moves, and live traffic follows", async () => {
    const { stable, candidate } = await useSplit("moving", 10);
    const visitor = await useVisitor();
    const { page } = visitor;
    await signIn(visitor, server, TOKEN, "/workers/moving");
    const seen = useLoad("moving");
    await page.waitForFunction(() => document.querySelectorAll("#live-recent tbody tr").length === 2);

    expect(await page.textContent("#moves")).toBe("No client changes version.");
    await page.locator("#slider").fill("30");
    expect(await page.inputValue("[name=percentage]")).toBe("30");
    expect(await page.textContent("#moves")).toMatch(/^20% of the clients move from #1 \w{8} to #2 \w{8}\.$/);
    await page.fill("[name=percentage]", "62.5");
    expect(await page.textContent("#moves")).toMatch(/^52.5% of the clients move/);
    await page.fill("[name=percentage]", "100.5");
    expect(await page.textContent("#moves")).toBe("Enter a share from 0 to 100.");
    await page.fill("[name=percentage]", "62.5");
    await page.fill("#split-form [name=message]", "more of it");
    await page.click("#split-form button");
    await page.waitForURL(/done=split/);
    expect(await activeSplit("moving")).toEqual([
      { version_id: stable, percentage: 37.5 },
      { version_id: candidate, percentage: 62.5 },
    ]);
    seen.clear();
    const share = async (what: string) =>
      Number.parseFloat((await page.textContent(`[data-${what}="${candidate}"]`)) ?? "");
    expect(await share("configured")).toBe(62.5);
    // Without a reload: what is observed comes near to it, and is what end users get.
    await waitUntil(async () => Math.abs((await share("observed")) - 62.5) < 15);
    await waitUntil(() => (seen.get("candidate") ?? 0) + (seen.get("stable") ?? 0) > 200);
    expect((seen.get("candidate") ?? 0) / (seen.get("stable") ?? 1)).toBeGreaterThan(1);
    expect(await page.textContent("section:has(#history-title)")).toContain("more of it");
    // A picture for people has some of the past on it.
    if (process.env.SLUICE_SCREENSHOTS !== undefined) await sleep(50_000);
    await picture(page, "deployments");
  });

  test("is not overwritten where somebody else has changed it meanwhile, and the page says so", async () => {
    const { stable, candidate } = await useSplit("raced", 10);
    const visitor = await useVisitor();
    const { page } = visitor;
    await signIn(visitor, server, TOKEN, "/workers/raced");
    await createDeployment(server, "raced", [
      [stable, 80],
      [candidate, 20],
    ]);
    await page.fill("[name=percentage]", "50");
    await page.click("#split-form button");
    await page.waitForSelector("text=Nothing was changed");
    expect(await activeSplit("raced")).toMatchObject([{ percentage: 80 }, { percentage: 20 }]);
    // The page shows what serves now, keeps what was filled in, and can be sent again.
    expect(await page.inputValue("[name=percentage]")).toBe("50");
    await page.click("#split-form button");
    await page.waitForURL(/done=split/);
    expect(await activeSplit("raced")).toMatchObject([{ percentage: 50 }, { percentage: 50 }]);
  });

  test("of two versions is restored as a whole by a rollback", async () => {
    const { stable, candidate } = await useSplit("back-to-both", 30);
    await createDeployment(server, "back-to-both", [[candidate, 100]]);
    const visitor = await useVisitor();
    const { page } = visitor;
    await signIn(visitor, server, TOKEN, "/workers/back-to-both");
    await page.locator("tr:has-text('70% #1, 30% #2') >> text=Roll back to this").first().click();
    await page.click("main form button");
    await page.waitForURL(/done=rollback/);
    expect(await activeSplit("back-to-both")).toEqual([
      { version_id: stable, percentage: 70 },
      { version_id: candidate, percentage: 30 },
    ]);
  });

  test("is promoted, and rolled back after one question that names the target and the changed secrets", async () => {
    const { stable, candidate } = await useSplit("rolling", 10);
    const visitor = await useVisitor();
    const { page } = visitor;
    await signIn(visitor, server, TOKEN, "/workers/rolling");
    await page.click("text=Promote #2 to 100%");
    await page.waitForURL(/done=promoted/);
    expect((await server.traffic("rolling")).body).toBe("candidate");

    // Without a changed secret there is nothing to warn of.
    await page.click("text=Roll back to this >> nth=-1");
    await page.waitForSelector("h1:has-text('Roll back rolling?')");
    expect(await page.textContent("main")).toContain(`#1 (${stable.slice(0, 8)})`);
    expect(await page.locator(".alert").count()).toBe(0);
    await page.click("text=Cancel");

    await call(server, "PUT", "/workers/scripts/rolling/secrets", {
      name: "PASSWORD",
      text: "new",
      type: "secret_text",
    });
    await page.reload();
    await page.click("text=Roll back to this >> nth=-1");
    expect(await page.textContent(".alert")).toContain("PASSWORD");
    await picture(page, "rollback");
    await page.fill("[name=message]", "it was worse");
    await page.click("text=Roll back and use the older secrets");
    await page.waitForURL(/done=rollback/);
    expect(await activeSplit("rolling")).toEqual([{ version_id: stable, percentage: 100 }]);
    expect((await server.traffic("rolling")).body).toBe("stable");
    expect(candidate).not.toBe(stable);
  });
});

describe("an edit of the main module", () => {
  async function edit(page: Page, text: string): Promise<void> {
    await page.waitForSelector(".cm-content");
    await page.click(".cm-content");
    await page.keyboard.press("ControlOrMeta+a");
    await page.keyboard.insertText(
      `export default { fetch: (r, env) => new Response(${JSON.stringify(text)} + env.KIND) };`,
    );
  }

  test("is saved as a version without traffic, with the same bindings, and then deployed", async () => {
    await deploy(server, "edited", {
      ...answering("as uploaded"),
      metadata: { bindings: [{ type: "plain_text", name: "KIND", text: "!" }] },
    });
    const visitor = await useVisitor();
    const { page } = visitor;
    await signIn(visitor, server, TOKEN, "/workers/edited/versions");
    await page.click("text=Edit the newest version");
    await edit(page, "saved");
    await picture(page, "editor");
    await page.fill("[name=message]", "by hand");
    await page.click("button[value=save]");
    await page.waitForURL(/done=saved/);
    expect(await page.textContent("main")).toContain("by hand");
    expect((await server.traffic("edited")).body).toBe("as uploaded");
    const preview = await page.getAttribute(".facts a[rel=noreferrer]", "href");
    const label = new URL(preview ?? "").hostname.replace(".localhost", "");
    expect((await server.traffic(label)).body).toBe("saved!");

    await page.click("text=Edit…");
    await edit(page, "deployed");
    await page.click("button[value=deploy]");
    await page.waitForURL(/done=deployed/);
    expect((await server.traffic("edited")).body).toBe("deployed!");
    await page.goto(`${server.control}/workers/edited/diff?${await lastTwo("edited")}`);
    expect(await page.textContent("main")).toContain(
      '+ export default { fetch: (r, env) => new Response("deployed"',
    );
  });

  test("that does not start is refused with the reason, stays in the editor, and changes nothing", async () => {
    await deploy(server, "broken-edit", answering("fine"));
    const visitor = await useVisitor();
    const { page } = visitor;
    await signIn(visitor, server, TOKEN, "/workers/broken-edit/versions");
    await page.click("text=Edit the newest version");
    await page.waitForSelector(".cm-content");
    await page.click(".cm-content");
    await page.keyboard.press("ControlOrMeta+a");
    await page.keyboard.insertText("throw new Error('not today');");
    await page.click("button[value=deploy]");
    await page.waitForSelector(".alert:has-text('not today')");
    expect(await page.textContent(".cm-content")).toContain("not today");
    expect((await server.traffic("broken-edit")).body).toBe("fine");
    const { result } = await call(server, "GET", "/workers/scripts/broken-edit/versions");
    expect(result.items).toHaveLength(1);
  });
});

async function lastTwo(worker: string): Promise<string> {
  const { result } = await call(server, "GET", `/workers/scripts/${worker}/versions`);
  return `from=${result.items[1].id}&to=${result.items[0].id}`;
}

test("settings are changed on the page, and refused with the reason where they are not valid", async () => {
  await useSplit("settled", 10);
  const visitor = await useVisitor();
  const { page } = visitor;
  await signIn(visitor, server, TOKEN, "/workers/settled/settings");
  await page.fill("[name=sources]", "header:X-User\nissued-cookie");
  await page.click("form[action$=affinity] button");
  await page.waitForURL(/done=settings/);
  const affinity = await call(server, "GET", "/workers/scripts/settled/affinity");
  expect(affinity.result.sources).toMatchObject([
    { type: "header", name: "X-User" },
    { type: "issued_cookie" },
  ]);
  await page.fill("[name=sources]", "issued-cookie\nheader:X-User");
  await page.click("form[action$=affinity] button");
  await page.waitForSelector(".alert:has-text('issued_cookie must be the last one')");
  await page.check("[name=protect]");
  await page.click("form[action$=options] button");
  await page.waitForURL(/done=settings/);
  expect((await call(server, "GET", "/workers/scripts/settled/options")).result.protect).toBe(true);
  await page.goto(`${server.control}/workers/settled/audit`);
  expect(await page.textContent("main")).toContain("protect = true");
});
