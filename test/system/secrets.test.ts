import { expect, test } from "vitest";
import { call, deploy } from "../support/client.ts";
import { useServer } from "../support/server.ts";

test("a secret that keeps the code from starting is refused, and the active version keeps serving", async () => {
  const server = await useServer();
  const code = `import { env } from "cloudflare:workers";
    const origin = new URL(env.DB_URL ?? "http://none.example").host;
    export default { fetch: () => new Response(origin) };`;
  await deploy(server, "shop", { modules: { "index.js": { content: code } } });
  const put = (text: string) =>
    call(server, "PUT", "/workers/scripts/shop/secrets", { name: "DB_URL", text, type: "secret_text" });

  expect((await put("http://db.example")).success).toBe(true);
  expect((await server.traffic("shop")).body).toBe("db.example");

  const refused = await put("no URL at all");
  expect(refused.status).toBe(400);
  expect(refused.errors).toEqual([{ code: 10021, message: expect.stringContaining("Invalid URL") }]);
  expect((await server.traffic("shop")).body).toBe("db.example");
  expect((await call(server, "GET", "/workers/scripts/shop/versions")).result.items).toHaveLength(2);
});
