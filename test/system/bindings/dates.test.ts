import { expect, test } from "vitest";
import { deploy } from "../../support/client.ts";
import { useServer, waitUntil } from "../../support/server.ts";

const CODE = `export class Room {
  async fetch() { return new Response("room"); }
}
export default {
  async fetch(request, env) {
    await env.KV.put("key", "value");
    const room = env.ROOM.get(env.ROOM.idFromName("one"));
    await env.QUEUE.send({ hello: "world" });
    return Response.json({
      kv: await env.KV.get("key"),
      d1: (await env.DB.prepare("SELECT 1 AS one").first()).one,
      room: await (await room.fetch("http://room/")).text(),
      queued: await env.KV.get("queued"),
    });
  },
  async queue(batch, env) { await env.KV.put("queued", batch.messages[0].body.hello); },
};`;

test("a version with an old compatibility date has its bindings", async () => {
  const server = await useServer();
  for (const date of ["2022-01-01", "2024-04-02", "2024-04-03"]) {
    const worker = `old-${date}`;
    await deploy(server, worker, {
      modules: { "index.js": { content: CODE } },
      metadata: {
        compatibility_date: date,
        bindings: [
          { type: "kv_namespace", name: "KV", namespace_id: worker },
          { type: "d1", name: "DB", id: worker },
          { type: "queue", name: "QUEUE", queue_name: worker },
          { type: "durable_object_namespace", name: "ROOM", class_name: "Room" },
        ],
        migrations: { new_tag: "v1", steps: [{ new_sqlite_classes: ["Room"] }] },
      },
    });
    const consumer = { type: "worker", script_name: worker, settings: { max_wait_time_ms: 0 } };
    const queues = await (await server.api("GET", `/queues?name=${worker}`)).json();
    const path = `/queues/${queues.result[0].queue_id}/consumers`;
    expect((await server.api("POST", path, { body: JSON.stringify(consumer) })).status).toBe(200);
    await waitUntil(async () => {
      const { status, body } = await server.traffic(worker);
      expect([status, status === 200 ? "" : server.output]).toEqual([200, ""]);
      const answer = JSON.parse(body);
      expect(answer).toMatchObject({ kv: "value", d1: 1, room: "room" });
      return answer.queued === "world";
    });
  }
});
