/** The dashboard without a browser: what it refuses, and what its answers carry. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { answering, call, deploy, uploadVersion } from "../support/client.ts";
import { disposeServer, type Server, startServer, TOKEN } from "../support/server.ts";

let server: Server;
let stable: string;
let candidate: string;

beforeAll(async () => {
  server = await startServer();
  stable = await deploy(server, "shop", answering("stable"));
  candidate = await uploadVersion(server, "shop", answering("candidate"));
});

afterAll(() => disposeServer(server));

interface Sent {
  readonly cookie?: string;
  readonly form?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
}

function send(method: string, path: string, { cookie, form, headers }: Sent = {}): Promise<Response> {
  return fetch(`${server.control}${path}`, {
    method,
    redirect: "manual",
    headers: { ...(cookie === undefined ? {} : { Cookie: cookie }), ...headers },
    ...(form === undefined ? {} : { body: new URLSearchParams(form) }),
  });
}

/** The cookie of a new session, and what its forms have to send. */
async function session(token = TOKEN): Promise<{ cookie: string; csrf: string }> {
  const signedIn = await send("POST", "/sign-in", { form: { token, next: "/" } });
  expect(signedIn.status).toBe(303);
  const cookie = (signedIn.headers.get("Set-Cookie") ?? "").split(";")[0] as string;
  const page = await (await send("GET", "/", { cookie })).text();
  return { cookie, csrf: /name="csrf" value="([^"]+)"/.exec(page)?.[1] as string };
}

async function splitForm(): Promise<Record<string, string>> {
  const { result } = await call(server, "GET", "/workers/scripts/shop/deployments");
  return { base: result.deployments[0].id, stable, candidate, percentage: "50", message: "" };
}

const active = async () =>
  (await call(server, "GET", "/workers/scripts/shop/deployments")).result.deployments[0].id;

describe("a form", () => {
  test.each([
    ["without the session's value", { csrf: "" }, {}],
    ["with another session's value", { csrf: "x".repeat(32) }, {}],
    ["of another site", {}, { "Sec-Fetch-Site": "cross-site" }],
    ["of another port of this machine", {}, { "Sec-Fetch-Site": "same-site" }],
    ["of another origin, from an older browser", {}, { Origin: "https://example.com" }],
    ["of a frame without an origin", {}, { Origin: "null" }],
  ])("%s is refused, and nothing changes", async (_, wrong, headers) => {
    const { cookie, csrf } = await session();
    const before = await active();
    const form = { csrf, ...(await splitForm()), ...wrong };
    expect((await send("POST", "/workers/shop/split", { cookie, form, headers })).status).toBe(403);
    expect(await active()).toBe(before);
  });

  test("of a session that has ended says so, and changes nothing", async () => {
    const { cookie, csrf } = await session();
    const before = await active();
    await send("POST", "/sign-out", { cookie, form: { csrf } });
    const answer = await send("POST", "/workers/shop/split", {
      cookie,
      form: { csrf, ...(await splitForm()) },
    });
    expect([answer.status, await answer.text()]).toEqual([
      401,
      expect.stringContaining("Nothing was changed"),
    ]);
    expect(await active()).toBe(before);
  });

  test("to sign in is refused where another site sends it: no user is signed in as another one", async () => {
    const answer = await send("POST", "/sign-in", {
      form: { token: TOKEN, next: "/" },
      headers: { "Sec-Fetch-Site": "cross-site" },
    });
    expect([answer.status, answer.headers.get("Set-Cookie")]).toEqual([403, null]);
  });

  test.each(["", "abc", "-1", "101", "1e9", "NaN"])(
    "with a share of %j is refused, with what was filled in",
    async (percentage) => {
      const { cookie, csrf } = await session();
      const before = await active();
      const answer = await send("POST", "/workers/shop/split", {
        cookie,
        form: { csrf, ...(await splitForm()), percentage },
      });
      expect(answer.status).toBe(400);
      expect(await answer.text()).toContain('class="alert error"');
      expect(await active()).toBe(before);
    },
  );

  test("that is too long is refused before it is read", async () => {
    const { cookie, csrf } = await session();
    const form = { csrf, code: "x".repeat(3 * 1024 * 1024) };
    expect((await send("POST", `/workers/shop/versions/${candidate}/edit`, { cookie, form })).status).toBe(
      413,
    );
  });
});

describe("a session", () => {
  test("is refused with a made-up cookie, and the API accepts no cookie at all", async () => {
    const { cookie } = await session();
    expect((await send("GET", "/", { cookie: "sluice_session=made-up" })).headers.get("Location")).toBe(
      "/sign-in?next=%2F",
    );
    expect((await send("GET", "/client/v4/user", { cookie })).status).toBe(401);
    expect((await send("GET", "/metrics", { cookie })).status).toBe(401);
  });

  test("ends with its token", async () => {
    const { result } = await call(server, "POST", "/tokens", { name: "brief", role: "read" });
    const { cookie } = await session(result.value);
    expect((await send("GET", "/workers/shop", { cookie })).status).toBe(200);
    await call(server, "DELETE", "/tokens/brief");
    expect((await send("GET", "/workers/shop", { cookie })).status).toBe(303);
  });

  test("outlives a restart, and ends with another admin token", async () => {
    const { cookie } = await session();
    await server.stop();
    server = await startServer({ like: server });
    expect((await send("GET", "/", { cookie })).status).toBe(200);
    await server.stop();
    // The last one of two counts.
    server = await startServer({ like: server, args: ["--api-token", "another-admin-token"] });
    expect((await send("GET", "/", { cookie })).status).toBe(303);
    await server.stop();
    server = await startServer({ like: server });
  });

  test("has a cookie for HTTPS only where the page came that way", async () => {
    const form = { token: TOKEN, next: "/" };
    const plain = await send("POST", "/sign-in", { form });
    const secure = await send("POST", "/sign-in", { form, headers: { "X-Forwarded-Proto": "https" } });
    expect(plain.headers.get("Set-Cookie")).not.toContain("Secure");
    expect(secure.headers.get("Set-Cookie")).toMatch(/; HttpOnly; Secure; SameSite=Strict$/);
  });

  test("survives a link from elsewhere, which comes without the cookie", async () => {
    const answer = await send("GET", "/workers/shop", { headers: { "Sec-Fetch-Site": "cross-site" } });
    expect([answer.status, await answer.text()]).toEqual([
      200,
      expect.stringContaining('http-equiv="refresh"'),
    ]);
  });
});

describe("every answer", () => {
  test("loads no script and no style of another origin, is in no frame, and is not cached", async () => {
    const { cookie } = await session();
    for (const path of ["/", "/workers/shop", "/sign-in", "/nowhere", "/workers/none"]) {
      const { headers } = await send("GET", path, { cookie });
      const policy = headers.get("Content-Security-Policy") ?? "";
      expect(policy).toContain("default-src 'none'; script-src 'self';");
      expect(policy).toContain("frame-ancestors 'none'");
      expect(policy).not.toContain("unsafe-inline");
      expect(headers.get("Cache-Control")).toBe("no-store");
      expect(headers.get("X-Content-Type-Options")).toBe("nosniff");
    }
  });

  test("shows other people's words as text", async () => {
    const evil = '"><script>alert(1)</script>';
    await uploadVersion(server, "shop", {
      ...answering("x"),
      metadata: {
        annotations: { "workers/message": evil, "workers/tag": evil },
        bindings: [{ type: "plain_text", name: evil, text: evil }],
      },
    });
    const { cookie } = await session();
    const { result } = await call(server, "GET", "/workers/scripts/shop/versions");
    for (const path of [
      "",
      "/versions",
      `/versions/${result.items[0].id}`,
      `/diff?from=${stable}&to=${result.items[0].id}`,
      "/audit",
      "/rollouts",
    ]) {
      const text = await (await send("GET", `/workers/shop${path}`, { cookie })).text();
      expect(text, path).not.toContain("<script>alert");
    }
  });

  test("of a page that does not exist is 404, of the API in its envelope, of the files without a session", async () => {
    const { cookie } = await session();
    expect((await send("GET", "/nowhere", { cookie })).status).toBe(404);
    expect((await send("GET", "/workers/UPPER", { cookie })).status).toBe(404);
    expect((await send("GET", "/workers/none/versions", { cookie })).status).toBe(404);
    const api = await server.api("GET", "/nothing");
    expect(await api.json()).toMatchObject({ success: false, errors: [{ code: 7003 }] });
    expect((await send("GET", "/static/any/main.js")).status).toBe(200);
    for (const file of ["nothing.js", "__proto__", "..%2F..%2Fetc%2Fpasswd"]) {
      expect((await send("GET", `/static/any/${file}`)).status, file).toBe(404);
    }
  });

  test("is compressed where the browser accepts it, and its files may be cached for as long as they stay the same", async () => {
    const { cookie } = await session();
    const page = await (await send("GET", "/", { cookie })).text();
    const address = /src="(\/static\/[^"]+main\.js)"/.exec(page)?.[1] as string;
    const file = await send("GET", address);
    expect(file.headers.get("Cache-Control")).toContain("immutable");
    expect(file.headers.get("Content-Encoding")).toBe("gzip");
    expect(
      (await send("GET", address.replace(/static\/[^/]+/, "static/older"))).headers.get("Cache-Control"),
    ).toBe("no-cache");
    const plain = await fetch(`${server.control}${address}`, { headers: { "Accept-Encoding": "identity" } });
    expect(await plain.text()).toBe(await file.text());
  });
});
