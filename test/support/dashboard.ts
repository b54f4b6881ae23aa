/** The dashboard in a real browser. */
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { expect } from "vitest";
import { type Server, TOKEN } from "./server.ts";

const AXE = createRequire(import.meta.url).resolve("axe-core/axe.min.js");

/** A browser of one person, and what went wrong in it. */
export interface Visitor {
  readonly context: BrowserContext;
  readonly page: Page;
  /** Errors of scripts, refused requests and whatever a page asked of another host. */
  readonly faults: string[];
}

export interface VisitorOptions {
  readonly width?: number;
  readonly dark?: boolean;
  readonly script?: boolean;
}

export async function visit(
  browser: Browser,
  server: Server,
  options: VisitorOptions = {},
): Promise<Visitor> {
  const context = await browser.newContext({
    viewport: { width: options.width ?? 1200, height: 900 },
    colorScheme: options.dark ? "dark" : "light",
    javaScriptEnabled: options.script ?? true,
    // Chromium takes the machine's otherwise, which may be none that scripts know.
    locale: "en-US",
    timezoneId: "UTC",
  });
  // Like the limits of tests: only a hang takes this long.
  context.setDefaultTimeout(120_000);
  const page = await context.newPage();
  const faults: string[] = [];
  page.on("pageerror", (error) => faults.push(error.message));
  page.on("console", (message) => {
    if (message.type() === "error" && message.text().includes("Content Security Policy"))
      faults.push(message.text());
  });
  page.on("request", (request) => {
    if (!request.url().startsWith(server.control)) faults.push(`asked for ${request.url()}`);
  });
  return { context, page, faults };
}

export async function signIn({ page }: Visitor, server: Server, token = TOKEN, path = "/"): Promise<void> {
  await page.goto(`${server.control}${path}`);
  await page.fill("#token", token);
  await page.click("main button[type=submit]");
  await page.waitForURL(`${server.control}${path}`);
}

/** What axe-core finds, of those that keep somebody from using the page. */
export async function seriousProblems(page: Page): Promise<string[]> {
  // As text, since the pages' own policy lets in no script that is not theirs.
  await page.evaluate(readFileSync(AXE, "utf8"));
  const found = await page.evaluate(async () => {
    // biome-ignore lint/suspicious/noExplicitAny: axe is no module here
    const { violations } = await (globalThis as any).axe.run(document, { resultTypes: ["violations"] });
    return violations as { id: string; impact: string; nodes: { html: string; failureSummary: string }[] }[];
  });
  return found
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .flatMap(({ id, nodes }) => nodes.map(({ html, failureSummary }) => `${id}: ${html} ${failureSummary}`));
}

/** Pixels by which the page is wider than its window. */
export function overflow(page: Page): Promise<number> {
  return page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
}

/** Takes a picture of the page, into the folder of `SLUICE_SCREENSHOTS` where that is set (`npm run picture`). */
export async function picture(page: Page, name: string): Promise<void> {
  const folder = process.env.SLUICE_SCREENSHOTS;
  if (folder !== undefined) mkdirSync(folder, { recursive: true });
  const options = folder === undefined ? {} : { path: join(folder, `${name}.png`) };
  const image = await page.screenshot({ fullPage: true, ...options });
  expect(image.length).toBeGreaterThan(5_000);
}
