/** State outlives the version: two versions share it, whatever the split does meanwhile, and a crash loses nothing. */
import { once } from "node:events";
import { request } from "node:http";
import type { Socket } from "node:net";
import { describe, expect, onTestFinished, test } from "vitest";
import { seeded } from "../../../src/rollout/simulate.ts";
import {
  call,
  createDeployment,
  deploy,
  type Upload,
  uploadForm,
  uploadVersion,
} from "../../support/client.ts";
import {
  disposeServer,
  type Server,
  series,
  startServer,
  useServer,
  waitUntil,
} from "../../support/server.ts";
import { inParallel, keys, SEED } from "../helpers.ts";

/**
 * A Worker whose objects keep what they are given and the versions that served them, in order. Each upload of it is another
 * version: the name is what its code says of itself.
 */
function keeping(name: string): Upload {
  return {
    modules: {
      "index.js": {
        content: `import { DurableObject } from "cloudflare:workers";
export class Room extends DurableObject {
  constructor(ctx, env) {
    super(ctx, env);
    this.sql = ctx.storage.sql;
    this.sql.exec("CREATE TABLE IF NOT EXISTS note (id TEXT PRIMARY KEY)");
    this.sql.exec("CREATE TABLE IF NOT EXISTS served (seq INTEGER PRIMARY KEY, version TEXT)");
    const last = this.sql.exec("SELECT version FROM served ORDER BY seq DESC LIMIT 1").toArray()[0]?.version;
    if (last !== ${JSON.stringify(name)}) this.sql.exec("INSERT INTO served (version) VALUES (?)", ${JSON.stringify(name)});
  }
  fetch() {
    const [client, server] = Object.values(new WebSocketPair());
    this.ctx.acceptWebSocket(server);
    return new Response(null, { status: 101, webSocket: client });
  }
  webSocketMessage(socket, message) { socket.send(${JSON.stringify(`${name} `)} + message); }
  add(id) { this.sql.exec("INSERT INTO note VALUES (?)", id); return ${JSON.stringify(name)}; }
  async slow(ms) { await scheduler.wait(ms); return ${JSON.stringify(name)}; }
  notes() { return this.sql.exec("SELECT id FROM note").toArray().map(({ id }) => id); }
  served() { return this.sql.exec("SELECT version FROM served ORDER BY seq").toArray().map(({ version }) => version); }
}
export default { async fetch(request, env) {
  const { pathname, searchParams } = new URL(request.url);
  const room = env.ROOM.getByName(searchParams.get("room") ?? "");
  switch (pathname) {
    case "/add": return new Response(await room.add(searchParams.get("id")));
    case "/slow": return new Response(await room.slow(Number(searchParams.get("ms"))));
    case "/notes": return Response.json(await room.notes());
    case "/served": return Response.json(await room.served());
    case "/id": return new Response(env.ROOM.idFromName(searchParams.get("room")).toString());
    case "/socket": return room.fetch(request);
    case "/object": await env.FILES.put(searchParams.get("id"), ${JSON.stringify(name)}); return new Response(${JSON.stringify(name)});
    case "/objects": {
      const names = [];
      for (let cursor; ; ) {
        const page = await env.FILES.list({ cursor });
        names.push(...page.objects.map(({ key }) => key));
        if (!page.truncated) return Response.json(names);
        cursor = page.cursor;
      }
    }
    case "/row": await env.DB.prepare("INSERT INTO row VALUES (?, ?)").bind(searchParams.get("id"), ${JSON.stringify(name)}).run(); return new Response(${JSON.stringify(name)});
    case "/rows": return Response.json((await env.DB.prepare("SELECT id FROM row").raw()).flat());
    case "/table": await env.DB.exec("CREATE TABLE row (id TEXT PRIMARY KEY, version TEXT)"); return new Response("made");
    case "/put": await env.KV.put(searchParams.get("id"), ${JSON.stringify(name)}); return new Response(${JSON.stringify(name)});
    case "/list": {
      const names = [];
      for (let cursor; ; ) {
        const page = await env.KV.list({ cursor });
        names.push(...page.keys.map(({ name }) => name));
        if (page.list_complete) return Response.json(names);
        cursor = page.cursor;
      }
    }
  }
} };`,
      },
    },
    metadata: {
      bindings: [
        { type: "durable_object_namespace", name: "ROOM", class_name: "Room" },
        { type: "kv_namespace", name: "KV", namespace_id: "shared" },
        { type: "d1", name: "DB", id: "shared" },
        { type: "r2_bucket", name: "FILES", bucket_name: "shared" },
      ],
    },
  };
}

const FIRST = { new_tag: "v1", steps: [{ new_sqlite_classes: ["Room"] }] };

/** The version that has the class, at 100%, and one more. Gives both ids by the names that the code says. */
async function deployTwo(server: Server): Promise<Map<string, string>> {
  const stable = keeping("stable");
  const first = await deploy(server, "w", {
    ...stable,
    metadata: { ...stable.metadata, migrations: FIRST },
  });
  return new Map([
    ["stable", first],
    ["candidate", await uploadVersion(server, "w", keeping("candidate"))],
  ]);
}

async function ask(server: Server, path: string): Promise<string> {
  const { status, body } = await server.traffic("w", { path });
  if (status !== 200) throw new Error(`${path}: ${status} ${body}`);
  return body;
}

const json = async (server: Server, path: string) => JSON.parse(await ask(server, path)) as string[];

/** The version that the split gives an object, by Sluice's own explanation. */
async function explained(server: Server, room: string): Promise<string> {
  const id = await ask(server, `/id?room=${room}`);
  const reply = await call(server, "GET", `/workers/scripts/w/explain?key=${id}`);
  return reply.result.version_id;
}

const REQUESTS = series({ full: 10_000, usual: 3_000 });

test(`two versions share their state: nothing is lost or doubled in ${REQUESTS} mixed requests with flips in between`, async () => {
  const server = await useServer();
  const versions = await deployTwo(server);
  const [stable, candidate] = [versions.get("stable") as string, versions.get("candidate") as string];
  const random = seeded(SEED);
  const rooms = keys(50, "room");
  const wanted = Array.from({ length: REQUESTS }, (_, i) => ({
    id: `id-${i}`,
    room: rooms[Math.floor(random() * rooms.length)] as string,
    kind: (["row", "put", "object", "add", "add"] as const)[i % 5] ?? "add",
  }));
  await ask(server, "/table");
  let answered = 0;
  const flip = async () => {
    const share = [10, 50, 90, 100, 0][(answered / 500) % 5] as number;
    const reply = await createDeployment(server, "w", [
      [stable, 100 - share],
      [candidate, share],
    ]);
    expect(reply.errors).toEqual([]);
  };
  await inParallel(16, wanted, async ({ id, room, kind }) => {
    await ask(server, `/${kind}?room=${room}&id=${id}`);
    if (++answered % 500 === 0) await flip();
  });
  const kept = (await Promise.all(rooms.map((room) => json(server, `/notes?room=${room}`)))).flat();
  const idsOf = (wantedKind: string) =>
    wanted
      .filter(({ kind }) => kind === wantedKind)
      .map(({ id }) => id)
      .sort();
  expect(kept.sort(), `seed ${SEED}`).toEqual(idsOf("add"));
  expect((await json(server, "/list")).sort()).toEqual(idsOf("put"));
  expect((await json(server, "/rows")).sort()).toEqual(idsOf("row"));
  expect((await json(server, "/objects")).sort()).toEqual(idsOf("object"));
});

describe("an object", () => {
  test("has one version at a time, the one that the split gives its id, and moves at most once in a ramp", async () => {
    const server = await useServer();
    const versions = await deployTwo(server);
    const [stable, candidate] = [versions.get("stable") as string, versions.get("candidate") as string];
    const rooms = keys(40, "room");
    for (const share of [0, 10, 25, 50, 100]) {
      await createDeployment(server, "w", [
        [candidate, share],
        [stable, 100 - share],
      ]);
      // From whichever version of the Worker it is called.
      for (let round = 0; round < 3; round++) {
        await inParallel(8, rooms, async (room) => {
          const version = await ask(server, `/add?room=${room}&id=${share}-${round}`);
          expect(versions.get(version), room).toBe(await explained(server, room));
        });
      }
    }
    for (const room of rooms) {
      expect(await json(server, `/served?room=${room}`)).toEqual(["stable", "candidate"]);
    }
  });

  test("finishes the calls under way before it moves, and those that come meanwhile wait for it", async () => {
    const server = await useServer();
    const versions = await deployTwo(server);
    const slow = ask(server, "/slow?room=one&ms=1500");
    await ask(server, "/notes?room=one");
    await createDeployment(server, "w", [[versions.get("candidate") as string, 100]]);
    const next = await ask(server, "/add?room=one&id=1");
    expect([await slow, next]).toEqual(["stable", "candidate"]);
  });

  test("keeps its WebSockets while it does not move, and closes them when it does, before an older version hears of it", async () => {
    const server = await useServer();
    const versions = await deployTwo(server);
    const [stable, candidate] = [versions.get("stable") as string, versions.get("candidate") as string];
    const rooms = keys(12, "room");
    const sockets = new Map<string, Messages>();
    for (const room of rooms) sockets.set(room, await openSocket(server, room));
    await createDeployment(server, "w", [
      [stable, 50],
      [candidate, 50],
    ]);
    const moved: string[] = [];
    for (const room of rooms) {
      const socket = sockets.get(room) as Messages;
      if ((await explained(server, room)) === candidate) {
        moved.push(room);
        await waitUntil(() => socket.closed);
      } else {
        expect(await socket.exchange("hello")).toBe("stable hello");
      }
    }
    expect(moved.length).toBeGreaterThan(0);
    expect(moved.length).toBeLessThan(rooms.length);
    // A share that grows takes none of the others back.
    await createDeployment(server, "w", [
      [stable, 49],
      [candidate, 51],
    ]);
    for (const room of rooms.filter((name) => !moved.includes(name))) {
      const socket = sockets.get(room) as Messages;
      if ((await explained(server, room)) === stable)
        expect(await socket.exchange("again")).toBe("stable again");
    }
  });
});

interface Messages {
  readonly closed: boolean;
  /** Sends a short text and resolves with the next one that comes. */
  exchange(text: string): Promise<string>;
}

/** A WebSocket by hand: short text frames only. */
async function openSocket(server: Server, room: string): Promise<Messages> {
  const outgoing = request({
    host: "127.0.0.1",
    port: server.trafficPort,
    path: `/socket?room=${room}`,
    headers: {
      Host: "w.localhost",
      Connection: "Upgrade",
      Upgrade: "websocket",
      "Sec-WebSocket-Version": "13",
      "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    },
  });
  outgoing.end();
  const [, socket] = (await once(outgoing, "upgrade")) as [unknown, Socket];
  onTestFinished(() => void socket.destroy());
  let closed = false;
  // A close frame, or the end of the connection.
  socket.on("data", (chunk: Buffer) => {
    if (((chunk[0] ?? 0) & 0x0f) === 8) closed = true;
  });
  socket.on("error", () => {});
  socket.on("close", () => {
    closed = true;
  });
  return {
    get closed() {
      return closed;
    },
    async exchange(text) {
      const payload = Buffer.from(text);
      const answer = once(socket, "data") as Promise<[Buffer]>;
      // Masked with zeros.
      socket.write(Buffer.concat([Buffer.from([0x81, 0x80 | payload.length, 0, 0, 0, 0]), payload]));
      const [frame] = await answer;
      return frame.subarray(2).toString();
    },
  };
}

test("an object of a deleted Worker ends, and a new Worker of the same name does not find it", async () => {
  const server = await useServer();
  await deployTwo(server);
  const socket = await openSocket(server, "one");
  await ask(server, "/add?room=one&id=before");
  expect((await call(server, "DELETE", "/workers/services/w?force=true")).errors).toEqual([]);
  await waitUntil(() => socket.closed);
  await deployTwo(server);
  expect(await json(server, "/notes?room=one")).toEqual([]);
});

test("writes acknowledged before a kill -9 are there after the restart, in objects, databases, buckets and KV", async () => {
  let server = await startServer();
  onTestFinished(() => disposeServer(server));
  await deployTwo(server);
  await ask(server, "/table");
  const acknowledged: { id: string; kind: "put" | "add" | "row" | "object" }[] = [];
  let dead = false;
  const lane = async (name: string) => {
    for (let i = 0; !dead; i++) {
      const id = `${name}-${i}`;
      const kind = (["put", "add", "row", "object"] as const)[i % 4] ?? "add";
      try {
        await ask(server, `/${kind}?room=one&id=${id}`);
        acknowledged.push({ id, kind });
      } catch {
        return;
      }
    }
  };
  const lanes = Promise.all(keys(4, "lane").map(lane));
  await waitUntil(() => acknowledged.length > 400);
  await server.kill();
  dead = true;
  await lanes;
  server = await startServer({ like: server });
  const found = {
    add: new Set(await json(server, "/notes?room=one")),
    put: new Set(await json(server, "/list")),
    row: new Set(await json(server, "/rows")),
    object: new Set(await json(server, "/objects")),
  };
  expect(acknowledged.filter(({ id, kind }) => !found[kind].has(id))).toEqual([]);
});

describe("a migration", () => {
  const RENAMED = (content: string) => content.replace("class Room", "class Hall");

  test("keeps the objects of a renamed class, and older versions can no longer be deployed", async () => {
    const server = await useServer();
    const versions = await deployTwo(server);
    await ask(server, "/add?room=one&id=before");
    const { modules } = keeping("renamed");
    const renamed: Upload = {
      modules: { "index.js": { content: RENAMED(modules?.["index.js"]?.content as string) } },
      metadata: {
        bindings: [
          { type: "durable_object_namespace", name: "ROOM", class_name: "Hall" },
          { type: "kv_namespace", name: "KV", namespace_id: "shared" },
        ],
        migrations: {
          old_tag: "v1",
          new_tag: "v2",
          steps: [{ renamed_classes: [{ from: "Room", to: "Hall" }] }],
        },
      },
    };
    await deploy(server, "w", renamed);
    expect(await json(server, "/notes?room=one")).toEqual(["before"]);
    expect(await json(server, "/served?room=one")).toEqual(["stable", "renamed"]);
    const back = await createDeployment(server, "w", [[versions.get("stable") as string, 100]]);
    expect([back.status, back.errors[0]?.code]).toEqual([400, 10211]);
    const service = await call(server, "GET", "/workers/services/w");
    expect(service.result.default_environment.script.migration_tag).toBe("v2");
  });

  test("that deletes a class ends its objects: a class of that name that comes later starts empty", async () => {
    const server = await useServer();
    await deployTwo(server);
    await ask(server, "/add?room=one&id=before");
    const without: Upload = {
      modules: { "index.js": { content: `export default { fetch: () => new Response("no objects") };` } },
      metadata: { migrations: { old_tag: "v1", new_tag: "v2", steps: [{ deleted_classes: ["Room"] }] } },
    };
    await deploy(server, "w", without);
    const again = keeping("again");
    await deploy(server, "w", {
      ...again,
      metadata: {
        ...again.metadata,
        migrations: { old_tag: "v2", new_tag: "v3", steps: [{ new_sqlite_classes: ["Room"] }] },
      },
    });
    expect(await json(server, "/notes?room=one")).toEqual([]);
  });

  test("is refused where it cannot be applied, and nothing changes", async () => {
    const server = await useServer();
    const stable = keeping("stable");
    const put = (metadata: object, upload = stable) =>
      call(
        server,
        "PUT",
        "/workers/scripts/w",
        uploadForm({ ...upload, metadata: { ...upload.metadata, ...metadata } }),
      );
    const codes = async (metadata: object, upload?: Upload) =>
      (await put(metadata, upload)).errors.map(({ code }) => code);
    expect(await codes({})).toEqual([10061]);
    expect(await codes({ migrations: { old_tag: "v7", new_tag: "v8", steps: [] } })).toEqual([10079]);
    expect(await codes({ migrations: { new_tag: "v1", steps: [{ deleted_classes: ["Room"] }] } })).toEqual([
      10079,
    ]);
    const notExported = {
      modules: { "index.js": { content: `export default { fetch() {} };` } },
      metadata: {},
    };
    expect(await codes({ migrations: FIRST }, notExported)).toEqual([10064]);
    expect((await call(server, "GET", "/workers/services/w")).status).toBe(404);

    expect(await codes({ migrations: FIRST })).toEqual([]);
    const upload = await call(
      server,
      "POST",
      "/workers/scripts/w/versions",
      uploadForm({
        ...stable,
        metadata: { ...stable.metadata, migrations: { old_tag: "v1", new_tag: "v2", steps: [] } },
      }),
    );
    expect(upload.errors.map(({ code }) => code)).toEqual([10211]);
    expect(await ask(server, "/add?room=one&id=1")).toBe("stable");
  });
});
