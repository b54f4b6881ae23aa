/** `wrangler whoami`, and what wrangler says when the server does not accept who asks. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { disposeServer, type Server, startServer } from "../support/server.ts";
import { failed, succeed, succeeded, useProject } from "./project.ts";

let server: Server;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => disposeServer(server));

describe("whoami", () => {
  test("names the user and the account", async () => {
    const project = await useProject(server, "whoami");
    const output = await succeed(project, "whoami");
    expect(output).toMatch(
      /You are logged in with an? \w+ API Token, associated with the email \S+@localhost/,
    );
    expect(output).toMatch(/│ Sluice\s+│ sluice\s+│/);
  });

  test("--json gives the same to a script", async () => {
    const project = await useProject(server, "whoami-json");
    expect(JSON.parse(await succeed(project, "whoami", "--json"))).toMatchObject({
      loggedIn: true,
      email: "admin@localhost",
      accounts: [{ id: "sluice", name: "Sluice" }],
    });
  });
});

test("without an account id in its environment wrangler finds the only account by itself", async () => {
  const project = await useProject(server, "found");
  const env = { CLOUDFLARE_ACCOUNT_ID: undefined };
  succeeded(await project.wrangler(["deploy"], "", env));
  expect(await server.traffic("found")).toMatchObject({ status: 200, body: "found" });
});

describe("is refused with code 10000, what to do, and no Worker made", () => {
  test.each([
    ["a wrong token", { CLOUDFLARE_API_TOKEN: "not-the-token" }, "the API token is not valid here"],
    [
      "an API key",
      { CLOUDFLARE_API_KEY: "key", CLOUDFLARE_EMAIL: "a@example.com" },
      "unset CLOUDFLARE_API_KEY and use the token that `sluice env` prints",
    ],
  ])("%s", async (_, env, advice) => {
    const project = await useProject(server, "intruder");
    const output = failed(await project.wrangler(["deploy"], "", env));
    expect(output).toContain("[code: 10000]");
    expect(output).toContain(advice);
    expect(output).toContain("sluice env");
    expect((await server.api("GET", "/workers/services/intruder")).status).toBe(404);
  });
});
