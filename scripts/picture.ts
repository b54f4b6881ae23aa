/** Takes the README's picture: the example page after a fresh start, in a real browser. */
import { join } from "node:path";
import { PACKAGE_ROOT } from "../src/cli/package.ts";
import { launchBrowser } from "../test/support/browser.ts";
import { disposeServer, startServer } from "../test/support/server.ts";

const [server, browser] = await Promise.all([startServer({ demo: true }), launchBrowser()]);
const page = await browser.newPage({ viewport: { width: 900, height: 620 }, deviceScaleFactor: 1.5 });
await page.goto(`http://hello.localhost:${server.trafficPort}/`);
await page.waitForSelector("body[data-done]");
await page.screenshot({ path: join(PACKAGE_ROOT, "docs", "split.png") });
await browser.close();
await disposeServer(server);
