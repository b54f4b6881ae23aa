import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { answering, call, createDeployment, deploy, IS_SPLIT, uploadVersion } from "../../support/client.ts";
import { disposeServer, type Server, startServer, useServer } from "../../support/server.ts";
import { answersFor, beginPost, inParallel, keys, NAMING_ITSELF, send } from "../helpers.ts";
import { code, KEY, OVERRIDES, sendTo, split, twoVersions } from "./helpers.ts";

let server: Server;

beforeAll(async () => {
  server = await startServer();
});

afterAll(() => disposeServer(server));

describe("the split", () => {
  test("gives a key the same version each time, on any connection, path and method", async () => {
    const [stable, candidate] = await twoVersions(server, "sticky", 40);
    const first = await answersFor(server, "sticky", keys(100));
    expect(new Set(first.values())).toEqual(new Set([stable, candidate]));
    expect(await answersFor(server, "sticky", keys(100))).toEqual(first);
    await inParallel(8, keys(100), async (key) => {
      const answer = await sendTo(server, "sticky", {
        path: `/${key}?x=1`,
        method: "DELETE",
        headers: { [KEY]: key },
      });
      expect(answer.body.toString()).toBe(first.get(key));
    });
  });

  test("never takes a key away from the candidate while its share rises, whatever the order of the versions", async () => {
    const [stable, candidate] = await twoVersions(server, "rising", 0);
    const asked = keys(200);
    let onCandidate = new Set<string>();
    for (const percentage of [0, 1, 10, 33.333, 50, 90, 100]) {
      const shares: [string, number][] = [
        [stable, 100 - percentage],
        [candidate, percentage],
      ];
      await split(server, "rising", ...shares);
      const answers = await answersFor(server, "rising", asked);
      await split(server, "rising", ...shares.reverse());
      expect(await answersFor(server, "rising", asked)).toEqual(answers);
      const now = new Set(asked.filter((key) => answers.get(key) === candidate));
      expect([...onCandidate].filter((key) => !now.has(key))).toEqual([]);
      onCandidate = now;
    }
    expect(onCandidate.size).toBe(200);
  });

  test("gives 0% to nobody and 100% to everybody", async () => {
    const [stable, candidate] = await twoVersions(server, "ends", 0);
    expect(new Set((await answersFor(server, "ends", keys(100))).values())).toEqual(new Set([stable]));
    await split(server, "ends", [stable, 0], [candidate, 100]);
    expect(new Set((await answersFor(server, "ends", keys(100))).values())).toEqual(new Set([candidate]));
  });

  test("decides at random for each request without a key, and an empty key counts as none", async () => {
    const [stable, candidate] = await twoVersions(server, "random", 50);
    for (const headers of [{}, { [KEY]: "" }]) {
      const answers: string[] = [];
      await inParallel(8, keys(400), async () => {
        answers.push((await server.traffic("random", { headers })).body);
      });
      // 200 of each are expected; outside of these bounds once in 10^15 runs.
      for (const id of [stable, candidate]) {
        const count = answers.filter((answer) => answer === id).length;
        expect(count).toBeGreaterThan(120);
        expect(count).toBeLessThan(280);
      }
    }
  });

  test("follows the override header before the key, to any version of the deployment, even at 0%", async () => {
    const [stable, candidate] = await twoVersions(server, "override", 0);
    for (const [header, id] of [
      [`override="${candidate}"`, candidate],
      [`override="${stable}"`, stable],
      [`other="${stable}", override="${candidate}"`, candidate],
      [`override="${candidate}";note=1`, candidate],
    ] as const) {
      const answer = await server.traffic("override", { headers: { [OVERRIDES]: header, [KEY]: "k" } });
      expect(answer.body).toBe(id);
    }
  });

  test("ignores an override that names any other version or does not parse", async () => {
    const [stable, candidate] = await twoVersions(server, "ignoring", 0);
    const retired = await deploy(server, "ignoring", NAMING_ITSELF);
    await split(server, "ignoring", [stable, 100], [candidate, 0]);
    const elsewhere = await deploy(server, "elsewhere", NAMING_ITSELF);
    for (const header of [
      `ignoring="${retired}"`,
      `ignoring="${elsewhere}"`,
      'ignoring="00000000-0000-4000-8000-000000000000"',
      `Ignoring="${candidate}"`,
      `other="${candidate}"`,
      `ignoring=${candidate}`,
      `ignoring="${candidate}`,
      `ignoring="${candidate}",`,
      `ignoring=("${candidate}")`,
      "ignoring",
      "ignoring=1",
      'ignoring=""',
      `"${candidate}"`,
      "=",
      ",,,",
      "\u00ff\u00fe",
      `ignoring=${"x".repeat(4000)}`,
    ]) {
      const answer = await server.traffic("ignoring", { headers: { [OVERRIDES]: header } });
      expect([answer.status, answer.body], header).toEqual([200, stable]);
    }
  });

  test("uses the client's address as the key where the operator names a header for it, unless a key header is sent", async () => {
    const other = await useServer({ args: ["--address-header", "X-Real-IP", "--domain", "apps.example"] });
    const ask = async (headers: Record<string, string>) => {
      const host = "by-address.apps.example";
      return (await send({ port: other.trafficPort, host, headers })).body.toString();
    };
    const stable = await deploy(other, "by-address", NAMING_ITSELF);
    const candidate = await uploadVersion(other, "by-address", NAMING_ITSELF);
    await createDeployment(other, "by-address", [
      [stable, 50],
      [candidate, 50],
    ]);
    const addresses = Array.from({ length: 60 }, (_, i) => `192.0.2.${i}`);
    const seen = new Set<string>();
    await inParallel(8, addresses, async (address) => {
      const [first, second, keyed] = await Promise.all([
        ask({ "X-Real-IP": address }),
        ask({ "X-Real-IP": address }),
        ask({ [KEY]: address }),
      ]);
      expect([second, keyed]).toEqual([first, first]);
      expect(await ask({ "X-Real-IP": "192.0.2.1", [KEY]: address })).toBe(first);
      seen.add(first);
    });
    expect(seen).toEqual(new Set([stable, candidate]));
    expect((await other.traffic("by-address")).status).toBe(404);
  });
});

describe("a host without a Worker", () => {
  test("gets a 404 that names the host and nothing else", async () => {
    await deploy(server, "present", answering("present"));
    for (const host of [
      "nobody.localhost",
      `nobody.localhost:${server.trafficPort}`,
      "localhost",
      `127.0.0.1:${server.trafficPort}`,
      "present.example.org",
      "present.localhost.example.org",
      "a.present.localhost",
      "presentlocalhost",
      ".localhost",
      "-present.localhost",
      `${"x".repeat(64)}.localhost`,
    ]) {
      const answer = await send({ port: server.trafficPort, host, path: "/some/path?secret=1" });
      expect(answer.status).toBe(404);
      expect(answer.body.toString()).toBe(`There is no Worker at ${host}.\n`);
      expect(answer.headers["content-type"]).toBe("text/plain; charset=utf-8");
      expect(Object.keys(answer.headers).filter((name) => /server|powered|sluice|cf-/i.test(name))).toEqual(
        [],
      );
    }
  });

  test("is found in any letter case", async () => {
    await deploy(server, "present", answering("present"));
    for (const host of ["present.localhost", "PRESENT.LocalHost", "Present.localhost:1"]) {
      expect((await send({ port: server.trafficPort, host })).body.toString()).toBe("present");
    }
  });

  test("gets the same while the Worker is switched off", async () => {
    await deploy(server, "switched", answering("on"));
    await call(server, "POST", "/workers/scripts/switched/subdomain", { enabled: false });
    expect(await server.traffic("switched")).toMatchObject({ status: 404 });
    await deploy(server, "switched", answering("on"));
    expect(await server.traffic("switched")).toMatchObject({ status: 404 });
    await call(server, "POST", "/workers/scripts/switched/subdomain", { enabled: true });
    expect(await server.traffic("switched")).toMatchObject({ status: 200, body: "on" });
  });
});

test.skipIf(IS_SPLIT)(
  "changing the split under load fails no request, and the next request follows the new split",
  async () => {
    const one = await deploy(server, "flipping", NAMING_ITSELF);
    const two = await uploadVersion(server, "flipping", NAMING_ITSELF);
    await deploy(server, "flipping-echo", code("export default { fetch: (r) => new Response(r.body) };"));
    // A request that lasts through all of it.
    const { outgoing, response: lasting } = await beginPost(server, "flipping-echo", "begin ");

    let done = false;
    let served = 0;
    const seen = new Set<string>();
    const failures: string[] = [];
    const lane = async (name: string) => {
      for (let i = 0; !done; i++) {
        const headers: Record<string, string> = i % 2 === 0 ? { [KEY]: `${name}-${i}` } : {};
        await server.traffic("flipping", { headers }).then(
          ({ status, body }) => {
            if (status !== 200) failures.push(`${status} ${body}`);
            seen.add(body);
            served++;
          },
          (error) => failures.push(String(error)),
        );
      }
    };
    const load = Promise.all(keys(6, "lane").map(lane));
    try {
      for (let flip = 0; flip < 25; flip++) {
        const [from, to] = flip % 2 === 0 ? [one, two] : [two, one];
        await split(server, "flipping", [from, 90], [to, 10]);
        await split(server, "flipping", [from, 0], [to, 100]);
        expect((await server.traffic("flipping", { headers: { [KEY]: "k" } })).body).toBe(to);
        await split(server, "flipping", [to, 100]);
        expect((await server.traffic("flipping")).body).toBe(to);
        if (flip % 5 === 0) await deploy(server, "flipping-echo", answering(`echo ${flip}`));
      }
    } finally {
      done = true;
      await load;
    }
    outgoing.end("end");
    let text = "";
    for await (const chunk of lasting) text += chunk;
    expect(text).toBe("begin end");
    expect(failures).toEqual([]);
    expect(served).toBeGreaterThan(50);
    expect(seen).toEqual(new Set([one, two]));
  },
);
