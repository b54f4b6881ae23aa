/** `wrangler versions deploy`: every way to say the split, and the split that requests then see. */
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { answering, createDeployment, deploy, uploadVersion } from "../support/client.ts";
import { disposeServer, type Server, startServer } from "../support/server.ts";
import type { Project, Terminal } from "../support/wrangler.ts";
import {
  activeSplit,
  deploymentsOf,
  fail,
  leavesAlone,
  succeed,
  succeeded,
  textOf,
  UNKNOWN_VERSION,
  useProject,
} from "./project.ts";

const KEY = "Cloudflare-Workers-Version-Key";
const OVERRIDES = "Cloudflare-Workers-Version-Overrides";

let server: Server;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => disposeServer(server));

/** A Worker whose version `a` serves everybody and whose versions `b` and `c` wait. Each answers with its letter. */
async function seed(worker: string): Promise<{ project: Project; a: string; b: string; c: string }> {
  const tagged = (letter: string) => ({
    ...answering(letter),
    metadata: { annotations: { "workers/tag": `tag-${letter}` } },
  });
  const a = await deploy(server, worker, tagged("a"));
  const b = await uploadVersion(server, worker, tagged("b"));
  const c = await uploadVersion(server, worker, tagged("c"));
  return { project: await useProject(server, worker), a, b, c };
}

/** Answers to one request per key, for the keys user-0, user-1, … */
async function answersByKey(worker: string, keys: number): Promise<string[]> {
  const answers: string[] = [];
  const ask = async (i: number) => {
    answers[i] = await textOf(server, worker, { [KEY]: `user-${i}` });
  };
  for (let start = 0; start < keys; start += 50) {
    await Promise.all(Array.from({ length: 50 }, (_, i) => ask(start + i)));
  }
  return answers;
}

describe("versions deploy", () => {
  test("a@90 b@10 deploys both with the message, in the order given", async () => {
    const { project, a, b } = await seed("ninety-ten");

    const output = await succeed(
      project,
      ...["versions", "deploy", `${a}@90`, `${b}@10%`, "-y", "--message", "canary"],
    );

    expect(output).toContain(`(100%) ${a}`);
    expect(output).toContain("2 Worker Version(s) selected");
    expect(output).toContain("Deployment message canary");
    expect(output).toContain(`Deployed ninety-ten version ${a} at 90% and version ${b} at 10%`);
    const [active, ...before] = await deploymentsOf(server, "ninety-ten");
    expect(active).toMatchObject({
      source: "wrangler",
      strategy: "percentage",
      annotations: { "workers/triggered_by": "deployment", "workers/message": "canary" },
      versions: [
        { version_id: a, percentage: 90 },
        { version_id: b, percentage: 10 },
      ],
    });
    expect(before).toHaveLength(1);
  });

  test("0% is kept in the deployment and serves nobody", async () => {
    const { project, a, b } = await seed("zero");

    const output = await succeed(project, "versions", "deploy", `${a}@100`, `${b}@0`);

    expect(output).toContain(`version ${a} at 100% and version ${b} at 0%`);
    expect(await activeSplit(server, "zero")).toEqual([
      [a, 100],
      [b, 0],
    ]);
    expect(new Set(await answersByKey("zero", 200))).toEqual(new Set(["a"]));
  });

  test("33.333/66.667 is kept to three decimals", async () => {
    const { project, a, b } = await seed("thirds");

    const output = await succeed(project, "versions", "deploy", `${a}@33.333`, `${b}@66.667`);

    expect(output).toContain(`version ${a} at 33.333% and version ${b} at 66.667%`);
    expect(await activeSplit(server, "thirds")).toEqual([
      [a, 33.333],
      [b, 66.667],
    ]);
  });

  test("--version-id with --percentage does the same, and the rest goes to the other version", async () => {
    const { project, a, b } = await seed("flags");

    const output = await succeed(
      project,
      ...["versions", "deploy", "--version-id", a, "--version-id", b, "--percentage", "70"],
    );

    expect(output).toContain(`version ${a} at 70% and version ${b} at 30%`);
    expect(await activeSplit(server, "flags")).toEqual([
      [a, 70],
      [b, 30],
    ]);
  });

  test("--version-tag finds the versions by their tags", async () => {
    const { project, b, c } = await seed("tags");

    const output = await succeed(
      project,
      ...["versions", "deploy", "--version-tag", "tag-b@80", "--version-tag", "tag-c@20"],
    );

    expect(output).toContain("Resolving tags to versions");
    expect(await activeSplit(server, "tags")).toEqual([
      [b, 80],
      [c, 20],
    ]);
    expect(output).toContain(`version ${b} at 80% and version ${c} at 20%`);
  });

  test("one version alone takes everybody", async () => {
    const { project, c } = await seed("alone");
    const output = await succeed(project, "versions", "deploy", c, "-y");
    expect(output).toContain(`Deployed alone version ${c} at 100%`);
    expect(await activeSplit(server, "alone")).toEqual([[c, 100]]);
    expect(await textOf(server, "alone")).toBe("c");
  });

  test("a version that the Worker does not have is refused by name, and nothing changes", async () => {
    const { project, a } = await seed("unknown-version");
    const output = await leavesAlone(server, "unknown-version", () =>
      fail(project, "versions", "deploy", `${a}@50`, `${UNKNOWN_VERSION}@50`),
    );
    expect(output).toContain(`has no version ${UNKNOWN_VERSION}`);
    expect(output).toContain("[code: 100146]");
  });

  test("three versions are refused by the server where wrangler lets them pass, and nothing changes", async () => {
    const { project, a, b, c } = await seed("three");
    const output = await leavesAlone(server, "three", () =>
      fail(project, "versions", "deploy", `${a}@20`, `${b}@30`, `${c}@50`, "--max-versions", "3"),
    );
    expect(output).toContain("a deployment takes one or two versions, not 3");
  });
});

describe("in a terminal", () => {
  /** A wrangler that does not outlive its test. */
  function open(project: Project, ...args: string[]): Terminal {
    const terminal = project.terminal(args);
    onTestFinished(() => terminal.kill());
    return terminal;
  }

  test("versions deploy asks for versions, percentages and a message, and deploys the answers", async () => {
    const { project, a, b, c } = await seed("asked");
    const [down, space, enter] = ["\u001b[B", " ", "\r"];

    const terminal = open(project, "versions", "deploy");
    // Newest first: c, b, a.
    await terminal.answer(`○ ${a}`, space);
    await terminal.answer(`● ${c}`, down);
    await terminal.answer(`○ ${b}`, space);
    await terminal.answer(`● ${b}`, enter);
    await terminal.answer("What percentage of traffic should Worker Version 1 receive?", `25${enter}`);
    await terminal.answer("What percentage of traffic should Worker Version 2 receive?", `75${enter}`);
    await terminal.answer("Add a deployment message (optional)", `by hand${enter}`);
    const output = succeeded(await terminal.end());

    expect(output).toContain(`(100%) ${a}`);
    expect(output).toContain(`Deployed asked version ${c} at 25% and version ${b} at 75%`);
    const [active] = await deploymentsOf(server, "asked");
    expect(active.annotations["workers/message"]).toBe("by hand");
    expect(await activeSplit(server, "asked")).toEqual([
      [c, 25],
      [b, 75],
    ]);
    expect(new Set(await answersByKey("asked", 100))).toEqual(new Set(["b", "c"]));
  });

  test("deploy over a live split asks first, and no means that nothing is uploaded or deployed", async () => {
    const { project, a, b } = await seed("declined");
    await createDeployment(server, "declined", [
      [a, 0],
      [b, 100],
    ]);

    await leavesAlone(server, "declined", async () => {
      const terminal = open(project, "deploy");
      await terminal.answer("Are you sure you want to continue?", "n\r");
      const { code, output } = await terminal.end();
      expect(code).toBe(0);
      expect(output).toContain("Your last deployment has multiple versions");
      expect(output).not.toContain("Uploaded declined");
    });
  });
});

describe("the split that requests see", () => {
  /** What `versions deploy` does, without the seconds that the command takes. */
  async function split(worker: string, ...shares: [string, number][]): Promise<void> {
    expect((await createDeployment(server, worker, shares)).errors).toEqual([]);
  }

  test("10% is 10% of the keys, the same keys each time, and raising it to 50% takes no key away from b", async () => {
    const { project, a, b } = await seed("observed");
    await succeed(project, "versions", "deploy", `${a}@90`, `${b}@10`);

    const first = await answersByKey("observed", 1000);
    expectShare(first, 0.1);
    expect(await answersByKey("observed", 1000)).toEqual(first);

    await split("observed", [a, 50], [b, 50]);
    const raised = await answersByKey("observed", 1000);
    expectShare(raised, 0.5);
    expect(raised.filter((text, i) => first[i] === "b" && text !== "b")).toEqual([]);

    await split("observed", [b, 10], [a, 90]);
    expect(await answersByKey("observed", 1000), "the order of the versions moves nobody").toEqual(first);
  });

  test("requests without a key are shared out too, each on its own", async () => {
    const { a, b } = await seed("keyless");
    await split("keyless", [a, 50], [b, 50]);
    const answers: string[] = [];
    for (let i = 0; i < 500; i++) answers.push(await textOf(server, "keyless"));
    expectShare(answers, 0.5);
  });

  test("the overrides header reaches a version at 0%, and one outside of the deployment is not reached", async () => {
    const { a, b, c } = await seed("overridden");
    await split("overridden", [a, 100], [b, 0]);
    const ask = (header: string) => textOf(server, "overridden", { [OVERRIDES]: header });

    expect(await ask(`overridden="${b}"`)).toBe("b");
    expect(await ask(`other="${a}", overridden="${b}"`)).toBe("b");
    expect(await ask(`overridden="${c}"`)).toBe("a");
    expect(await ask(`other="${b}"`)).toBe("a");
    expect(await ask("not a dictionary;;")).toBe("a");

    await split("overridden", [a, 100]);
    expect(await ask(`overridden="${b}"`)).toBe("a");
  });
});

/** That the share of b is within four standard deviations of what was asked for. */
function expectShare(answers: readonly string[], share: number): void {
  const count = answers.filter((text) => text === "b").length;
  const others = answers.filter((text) => text !== "a" && text !== "b");
  const sigma = Math.sqrt(answers.length * share * (1 - share));
  expect(others).toEqual([]);
  expect(count).toBeGreaterThan(answers.length * share - 4 * sigma);
  expect(count).toBeLessThan(answers.length * share + 4 * sigma);
}
