/** Many operators at once: each change is recorded once or refused whole, and the router follows the last one. */
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  call,
  createDeployment,
  deploy,
  type Reply,
  readEnvelope,
  uploadForm,
  uploadVersion,
} from "../support/client.ts";
import { disposeServer, type Server, startServer } from "../support/server.ts";
import { storedCode } from "../support/stored.ts";
import { answersFor, deploymentsOf, keys, NAMING_ITSELF, versionsOf } from "./helpers.ts";

let server: Server;

beforeAll(async () => {
  server = await startServer();
});

afterAll(() => disposeServer(server));

const many = <T>(count: number, run: (i: number) => Promise<T>): Promise<T[]> =>
  Promise.all(Array.from({ length: count }, (_, i) => run(i)));

const ids = (items: readonly { id: string }[]) => items.map(({ id }) => id);

/** Each is there once or was refused with 409; returns the replies that were accepted. */
function accepted(replies: readonly Reply[]): Reply[] {
  for (const { success, status, errors } of replies) {
    if (success) continue;
    expect(status).toBe(409);
    expect(errors[0]?.message).toMatch(/same moment.*run it again/);
  }
  const good = replies.filter(({ success }) => success);
  expect(good.length).toBeGreaterThan(0);
  return good;
}

/** Versions are numbered without a gap, newest first, and nothing but their code is stored. */
async function expectConsecutive(worker: string): Promise<string[]> {
  const versions = await versionsOf(server, worker);
  expect(versions.map(({ number }) => number)).toEqual(versions.map((_, i) => versions.length - i));
  const times = versions.map(({ metadata }) => metadata.created_on);
  expect(times).toEqual([...times].sort().reverse());
  expect(new Set(times).size).toBe(times.length);
  return ids(versions);
}

test("20 uploads of one Worker at once: each is recorded once, with consecutive numbers, or refused with 409 and no trace", async () => {
  const first = await deploy(server, "crowded", NAMING_ITSELF);
  const before = await deploymentsOf(server, "crowded");
  const replies = await many(20, async (i) => {
    const upload = {
      ...NAMING_ITSELF,
      metadata: { ...NAMING_ITSELF.metadata, annotations: { "workers/tag": `t${i}` } },
    };
    return readEnvelope(
      await server.api("POST", "/workers/scripts/crowded/versions", { body: uploadForm(upload) }),
    );
  });
  const good = accepted(replies);
  const listed = await expectConsecutive("crowded");
  expect(new Set(listed)).toEqual(new Set([first, ...good.map(({ result }) => result.id)]));
  expect(listed).toHaveLength(good.length + 1);
  const numbers = good.map(({ result }) => result.number).sort((a, b) => a - b);
  expect(numbers).toEqual(good.map((_, i) => i + 2));
  for (const { result } of good) {
    const { result: stored } = await call(server, "GET", `/workers/scripts/crowded/versions/${result.id}`);
    expect(stored).toEqual(result);
  }
  expect(await deploymentsOf(server, "crowded")).toEqual(before);
  expect((await server.traffic("crowded")).body).toBe(first);
});

test("20 deploys of a new Worker at once: it exists once, the last version serves, and the refused ones leave no deployment", async () => {
  const replies = await many(20, async () =>
    readEnvelope(await server.api("PUT", "/workers/scripts/rushed", { body: uploadForm(NAMING_ITSELF) })),
  );
  const good = accepted(replies);
  const listed = await expectConsecutive("rushed");
  expect(new Set(listed)).toEqual(new Set(good.map(({ result }) => result.deployment_id)));
  const deployments = await deploymentsOf(server, "rushed");
  expect(deployments).toHaveLength(Math.min(good.length, 10));
  expect(deployments[0].versions).toEqual([{ version_id: listed[0], percentage: 100 }]);
  const answers = await answersFor(server, "rushed", keys(20));
  expect(new Set(answers.values())).toEqual(new Set([listed[0]]));
});

test("30 deployments at once: each is recorded once, and the last one listed is the one that the router follows", async () => {
  const stable = await deploy(server, "contested", NAMING_ITSELF);
  const candidate = await uploadVersion(server, "contested", NAMING_ITSELF);
  for (let round = 0; round < 3; round++) {
    const before = await deploymentsOf(server, "contested");
    const replies = await many(30, (i) =>
      createDeployment(server, "contested", [
        [stable, 100 - ((i * 7) % 101)],
        [candidate, (i * 7) % 101],
      ]),
    );
    expect(replies.map(({ errors }) => errors)).toEqual(replies.map(() => []));
    const made = new Map(replies.map(({ result }) => [result.id, result]));
    expect(made.size).toBe(30);

    const deployments = await deploymentsOf(server, "contested");
    const times = deployments.map(({ created_on }) => created_on);
    expect(times).toEqual([...times].sort().reverse());
    expect(ids(deployments)).not.toContain(before[0].id);
    const [active] = deployments;
    expect(active).toEqual(made.get(active.id));

    // The router decides for each key as the API explains it from that deployment.
    const share = active.versions.find(
      ({ version_id }: { version_id: string }) => version_id === candidate,
    ).percentage;
    const asked = keys(120);
    const answers = await answersFor(server, "contested", asked);
    for (const key of asked) {
      const { result } = await call(server, "GET", `/workers/scripts/contested/explain?key=${key}`);
      expect(result.deployment_id).toBe(active.id);
      expect(answers.get(key)).toBe(result.version_id);
      expect(result.boundary).toBe(Math.round((share / 100) * 2 ** 32));
    }
  }
});

test("uploads, deployments, secrets and traffic at once: everything acknowledged is there, and traffic never fails", async () => {
  const worker = "busy";
  const script = `/workers/scripts/${worker}`;
  const stable = await deploy(server, worker, NAMING_ITSELF);
  const candidate = await uploadVersion(server, worker, NAMING_ITSELF);
  let done = false;
  const bad: string[] = [];
  const traffic = many(3, async () => {
    while (!done) {
      const { status, body } = await server.traffic(worker);
      if (status !== 200) bad.push(`${status} ${body}`);
    }
  });
  const [uploads, deployments, secrets] = await Promise.all([
    many(8, async () =>
      readEnvelope(await server.api("POST", `${script}/versions`, { body: uploadForm(NAMING_ITSELF) })),
    ),
    many(8, () =>
      createDeployment(server, worker, [
        [stable, 50],
        [candidate, 50],
      ]),
    ),
    many(8, (i) =>
      call(server, "PATCH", `/workers/workers/${worker}/versions/latest`, {
        env: { [`SECRET_${i}`]: { type: "secret_text", text: "x" } },
      }),
    ),
  ]).finally(() => {
    done = true;
  });
  await traffic;
  expect(bad).toEqual([]);
  const listed = await expectConsecutive(worker);
  const versions = accepted([...uploads, ...secrets]).map(({ result }) => result.id);
  expect(new Set(listed)).toEqual(new Set([stable, candidate, ...versions]));
  expect(deployments.every(({ success }) => success)).toBe(true);

  // A secret that was acknowledged is in the latest version, whatever was uploaded after it.
  const { result } = await call(server, "GET", `${script}/secrets`);
  const names = result.map(({ name }: { name: string }) => name);
  const set = secrets.flatMap(({ success }, i) => (success ? [`SECRET_${i}`] : []));
  expect(new Set(names)).toEqual(new Set(set));
});

test("a secret changed in place by many at once: the acknowledged ones are all there and served", async () => {
  const worker = "secretive";
  await deploy(server, worker, {
    modules: { "index.js": { content: "export default { fetch: (r, env) => Response.json(env) };" } },
  });
  const replies = await many(12, (i) =>
    call(server, "PUT", `/workers/scripts/${worker}/secrets`, { name: `S${i}`, text: `text ${i}` }),
  );
  const expected = Object.fromEntries(
    replies.flatMap(({ success }, i) => (success ? [[`S${i}`, `text ${i}`]] : [])),
  );
  accepted(replies);
  expect(JSON.parse((await server.traffic(worker)).body)).toEqual(expected);
  await expectConsecutive(worker);
});

test("deletion and deploys of one name at once leave a Worker that serves, or none", async () => {
  const worker = "torn";
  for (let round = 0; round < 5; round++) {
    await deploy(server, worker, NAMING_ITSELF).catch(() => {});
    const [, ...replies] = await Promise.all([
      call(server, "DELETE", `/workers/services/${worker}`),
      ...Array.from({ length: 4 }, async () =>
        readEnvelope(
          await server.api("PUT", `/workers/scripts/${worker}`, { body: uploadForm(NAMING_ITSELF) }),
        ),
      ),
      createDeployment(server, worker, [["00000000-0000-4000-8000-000000000000", 100]]),
    ]);
    for (const { success, status } of replies) if (!success) expect([404, 409]).toContain(status);
    const found = await call(server, "GET", `/workers/scripts/${worker}/versions`);
    const answer = await server.traffic(worker);
    if (found.success) {
      const [active] = await deploymentsOf(server, worker);
      expect(answer).toMatchObject({ status: 200, body: active.versions[0].version_id });
      for (const { id } of found.result.items) expect(storedCode(server, id)).toHaveLength(1);
    } else {
      expect([found.status, answer.status]).toEqual([404, 404]);
    }
  }
});
