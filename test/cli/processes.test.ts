/** The configuration that the runtime's processes are started with. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { embed, toCapnp } from "../../src/cli/processes/capnp.ts";
import { controlConfig, type Peer, peerConfig, validatorConfig } from "../../src/cli/processes/configs.ts";

/** Reads what `toCapnp` writes of a text, by the rules of the format: escapes stand for bytes. */
function readText(written: string): string {
  const bytes: number[] = [];
  for (let at = 1; at < written.length - 1; at++) {
    if (written[at] !== "\\") bytes.push(written.charCodeAt(at));
    else if (written[at + 1] === "x") {
      bytes.push(Number.parseInt(written.slice(at + 2, at + 4), 16));
      at += 3;
    } else bytes.push(written.charCodeAt(++at));
  }
  return Buffer.from(bytes).toString();
}

test("a text is written so that it reads as it was, and none can end its own quotes", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      const written = toCapnp(text);
      expect(written).toMatch(/^"(?:[^"\\]|\\["\\]|\\x[0-9a-f]{2})*"$/);
      expect(readText(written)).toBe(Buffer.from(text).toString());
    }),
  );
});

test("lists, fields, numbers and references are written in the format's own syntax, without undefined fields", () => {
  const value = { name: "a", list: [1, true, { b: "c" }], none: undefined, file: embed("x.js") };
  expect(toCapnp(value)).toBe('(name = "a", list = [1, true, (b = "c")], file = embed "x.js")');
});

const COMMON = { modules: [], values: {}, rpcHost: "secret", certificates: [], own: [], reachable: [] };
const addressesIn = (text: string) =>
  [...text.matchAll(/address = "([^"]*)"/g)].map(([, address]) => address);

test("no process listens or connects anywhere but on Unix sockets, its two ports aside", () => {
  const peers: Peer[] = [
    { name: "objects", lane: "objects" },
    { name: "canary", lane: "canary" },
    { name: "traffic-0", lane: "traffic" },
  ];
  const setup = { ...COMMON, storage: "/s", socket: (name: string) => `/r/${name}.sock`, peers };
  const texts = [
    controlConfig(setup),
    controlConfig({ ...setup, peers: [] }),
    ...peers.map((peer) => peerConfig(setup, peer)),
    validatorConfig([], "/r/validating"),
  ];
  for (const text of texts) {
    expect(addressesIn(text).length).toBeGreaterThan(0);
    for (const address of addressesIn(text)) expect(address).toMatch(/^unix:\/r\//);
  }
});

test("uploads are tried out without a network", () => {
  expect(validatorConfig([], "/r/validating")).toContain('(name = "internet", network = (allow = []))');
});
