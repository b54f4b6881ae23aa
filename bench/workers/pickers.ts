/**
 * Who chooses one of two sides for a key, half and half: the router, the hash below it, and those of feature flags,
 * each as its own library calls it. A number comes back, odd for one side and even for the other, so that nothing can
 * be optimised away.
 */
import "./require.ts";
import { createHash } from "node:crypto";
import { defaultStrategies } from "unleash-client/lib/strategy/index.js";
import { normalizedStrategyValue } from "unleash-client/lib/strategy/util.js";
import xxhash from "xxhash-wasm";
// The build for production, which has no messages for developers.
import { GrowthBookClient } from "../../node_modules/@growthbook/growthbook/dist/bundles/esm.min.js";
import { chooseVariation, hash } from "../../node_modules/@growthbook/growthbook/dist/esm/util.mjs";
import { decideByKey } from "../../src/router/decide.ts";
import { compileSplit } from "../../src/router/split.ts";
import { DEPLOYMENT } from "../input.ts";

const { h32 } = await xxhash();
const split = compileSplit(DEPLOYMENT);

const strategy = defaultStrategies.find(({ name }) => name === "flexibleRollout");
if (strategy === undefined) throw new Error("unleash-client has no flexibleRollout any more");
/** As the server sends them: as text. */
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
