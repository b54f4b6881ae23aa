/**
 * Pickers choose one of two sides for a key, half and half: the router, its bare hash, and libraries for feature flags.
 * Each library is called as its users call it. A picker returns a number, odd for one side and even for the other, so
 * that the compiler cannot remove the call.
 */
import "./require.ts";
import { createHash } from "node:crypto";
import { defaultStrategies } from "unleash-client/lib/strategy/index.js";
import { normalizedStrategyValue } from "unleash-client/lib/strategy/util.js";
import xxhash from "xxhash-wasm";
// The production build, without messages for developers.
import { GrowthBookClient } from "../../node_modules/@growthbook/growthbook/dist/bundles/esm.min.js";
import { chooseVariation, hash } from "../../node_modules/@growthbook/growthbook/dist/esm/util.mjs";
import { decideByKey } from "../../src/router/decide.ts";
import { compileSplit } from "../../src/router/split.ts";
import { DEPLOYMENT } from "../input.ts";

const { h32 } = await xxhash();
const split = compileSplit(DEPLOYMENT);

const strategy = defaultStrategies.find(({ name }) => name === "flexibleRollout");
if (strategy === undefined) throw new Error("unleash-client has no flexibleRollout any more");
/** As text, the form in which the server sends them. */
const rollout = { groupId: "bench", rollout: "50", stickiness: "default" };

const growthbook = new GrowthBookClient();
const experiment = { key: "bench", variations: ["a", "b"] as [string, string] };
const halves: [number, number][] = [
  [0, 0.5],
  [0.5, 1],
];

/** The largest number of 15 hexadecimal digits, as a double. */
const LONGEST = Number.parseInt("f".repeat(15), 16);

export const PICKERS: Readonly<Record<string, (key: string) => number>> = {
  decision: (key) => decideByKey(split, key).version.number,
  xxhash: (key) => h32(key),
  unleash: (key) => (strategy.isEnabled(rollout, { userId: key }) ? 1 : 0),
  "unleash-hash": (key) => (normalizedStrategyValue(key, "bench") <= 50 ? 1 : 0),
  growthbook: (key) => growthbook.runInlineExperiment(experiment, { attributes: { id: key } }).variationId,
  "growthbook-hash": (key) => chooseVariation(hash("bench", key, 1) ?? 0, halves),
  launchdarkly: (key) => {
    const digest = createHash("sha1").update(`bench.salt.${key}`).digest("hex");
    return Number.parseInt(digest.slice(0, 15), 16) / LONGEST < 0.5 ? 1 : 0;
  },
};
