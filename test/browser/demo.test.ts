import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { launchBrowser } from "../support/browser.ts";
import { disposeServer, type Server, startServer } from "../support/server.ts";

let server: Server;
let browser: Browser;

beforeAll(async () => {
  [server, browser] = await Promise.all([startServer({ demo: true }), launchBrowser()]);
});

afterAll(async () => {
  await browser.close();
  await disposeServer(server);
});

test("the first page after a first start shows a thousand visitors on two versions, near 90 to 10, and the same after a reload", async () => {
  const page = await browser.newPage();
  const faults: string[] = [];
  page.on("pageerror", (error) => faults.push(error.message));
  page.on("requestfailed", (request) => faults.push(`${request.url()} failed`));

  await page.goto(`http://hello.localhost:${server.trafficPort}/`);
  const look = async () => {
    await page.waitForSelector("body[data-done]", { timeout: 60_000 });
    return page.$$eval("#crowd i", (dots) => dots.map((dot) => dot.className));
  };
  const first = await look();
  expect(first).toHaveLength(1000);
  const green = first.filter((color) => color === "green").length;
  expect(first.filter((color) => color === "blue")).toHaveLength(1000 - green);
  // Version ids, and so the visitors of the candidate, differ from run to run: six standard deviations of a binomial
  // with n = 1000 and p = 0.1 are left by chance once in 500 million runs.
  expect(Math.abs(green - 100)).toBeLessThanOrEqual(6 * Math.sqrt(1000 * 0.1 * 0.9));
  expect(await page.textContent("#observed")).toContain(`green: ${green} visitors`);

  await page.reload();
  expect(await look()).toEqual(first);
  expect(faults).toEqual([]);
});
