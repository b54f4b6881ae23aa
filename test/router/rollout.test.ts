/** What a rollout changes about the split: its candidate, its baseline, its cohort, and what requests count as. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decide, decideByKey, decideFallback, type Given, observedByKey } from "../../src/router/decide.ts";
import { hashKey } from "../../src/router/hash.ts";
import { KEY_HEADER, OVERRIDES_HEADER } from "../../src/router/signals.ts";
import { compileSplit, type Decision, HASH_SPACE, type Split, thresholdOf } from "../../src/router/split.ts";
import type { WatchedRollout } from "../../src/versions/record.ts";
import { CANDIDATE, recordOf, STABLE, sharesAt } from "./keys.ts";

const BASELINE = `${STABLE}.baseline`;
const COHORT = { type: "header", name: "x-team", value: "edge" } as const;

const given = (random = 0): Given => ({
  addressHeader: "",
  isFromClient: true,
  now: () => 0,
  random: () => random,
  newIdentity: () => "new",
});

function splitOf(percentage: number, rollout: Partial<WatchedRollout> = {}): Split {
  const watched = { id: "rollout", candidate: CANDIDATE, ...rollout };
  return compileSplit({ ...recordOf(sharesAt(percentage)), rollout: watched });
}

function ask(split: Split, headers: Record<string, string> = {}, random = 0): Decision {
  return decide(split, { url: "http://w/", headers: new Headers(headers) }, given(random));
}

const byKey = (split: Split, key: string) => ask(split, { [KEY_HEADER]: key });
const show = ({ instance, reason, observed }: Decision) => [instance, reason, observed?.arm];
const key = fc.string({ minLength: 1, maxLength: 20, unit: fc.constantFrom(..."abcdefgh0123456789") });
const stage = fc.integer({ min: 1, max: 99 });

describe("the candidate of a rollout", () => {
  test("is the version that the rollout names, even where its number is the smaller one", () => {
    const [newer, older] = sharesAt(10);
    const split = compileSplit({
      ...recordOf([newer, older]),
      rollout: { id: "r", candidate: older.version_id },
    });
    expect(split.candidate.version).toBe(older);
    expect(split.threshold).toBe(thresholdOf(90));
    expect(split.seed.text).toBe(older.version_id);
  });

  test("is split by the salt where there is one, so that clients of two Workers move together", () => {
    fc.assert(
      fc.property(stage, key, (percentage, each) => {
        const leader = splitOf(percentage);
        const follower = compileSplit({
          ...recordOf(sharesAt(percentage, "other candidate", "other stable")),
          rollout: { id: "r2", candidate: "other candidate", salt: CANDIDATE },
        });
        const isCandidate = byKey(leader, each).version === leader.candidate.version;
        expect(byKey(follower, each).version === follower.candidate.version).toBe(isCandidate);
      }),
    );
  });

  test("changes nothing where the deployment does not have both versions", () => {
    const alone = { ...recordOf([{ version_id: STABLE, number: 1, percentage: 100 }]) };
    const rollout = { id: "r", candidate: CANDIDATE, baseline: 10, cohort: COHORT };
    const decision = ask(compileSplit({ ...alone, rollout }), { "x-team": "edge" });
    expect(show(decision)).toEqual([STABLE, "single", undefined]);
  });
});

describe("the baseline", () => {
  test("serves the clients next above the candidate's, and nobody else", () => {
    fc.assert(
      fc.property(stage, fc.integer({ min: 0, max: 10 }), key, (percentage, baseline, each) => {
        const split = splitOf(percentage, { baseline });
        const hash = hashKey(split.seed, each);
        const isBelow = (percent: number) => hash < thresholdOf(Math.min(percent, 100));
        const expected = isBelow(percentage)
          ? [CANDIDATE, "key", "candidate"]
          : isBelow(percentage + baseline)
            ? [BASELINE, "key", "reference"]
            : [STABLE, "key", baseline === 0 ? "reference" : "beside"];
        expect(show(byKey(split, each))).toEqual(expected);
      }),
    );
  });

  test("is the stable version for everything but the isolate", () => {
    const split = splitOf(50, { baseline: 10 });
    const decision = ask(split, {}, 0.55);
    expect(show(decision)).toEqual([BASELINE, "random", "reference"]);
    expect(decision.version).toBe(split.stable?.version);
  });

  test("never handles what has no client: events and Durable Objects", () => {
    fc.assert(
      fc.property(stage, key, (percentage, each) => {
        const split = splitOf(percentage, { baseline: 10 });
        const { instance, version } = decideByKey(split, each);
        expect(instance).toBe(version.version_id);
        expect(version).toBe(byKey(split, each).version);
      }),
    );
  });

  test("is replaced by the stable version where it cannot be loaded", () => {
    const split = splitOf(50, { baseline: 10 });
    const failed = ask(split, {}, 0.55);
    const next = decideFallback(split, failed) as Decision;
    expect([next.instance, next.reason]).toEqual([STABLE, "random"]);
  });

  test("is gone where one version serves everybody", () => {
    for (const percentage of [0, 100]) {
      expect(splitOf(percentage, { baseline: 10 }).baseline).toBeUndefined();
    }
  });
});

describe("the share that a request was decided by", () => {
  const shareOf = (split: Split) => split.candidate.key.observed?.split;

  test("is the candidate's part of what is compared", () => {
    expect(shareOf(splitOf(10, { baseline: 10 }))?.share).toBeCloseTo(0.5, 6);
    expect(shareOf(splitOf(50, { baseline: 10 }))?.share).toBeCloseTo(5 / 6, 6);
    expect(shareOf(splitOf(10))?.share).toBeCloseTo(0.1, 6);
    expect(shareOf(splitOf(10))?.percentage).toBe(10);
  });

  test("is 0 or 1 where one of the two has nobody", () => {
    expect(shareOf(splitOf(0))?.share).toBe(0);
    expect(shareOf(splitOf(100))?.share).toBe(1);
  });

  test("is the part of the hash space that leads to the candidate, for random draws as well", () => {
    const split = splitOf(5, { baseline: 5 });
    const n = 10_000;
    const arms = Array.from({ length: n }, (_, i) => ask(split, {}, (i + 0.5) / n).observed?.arm);
    const count = (arm: string) => arms.filter((each) => each === arm).length;
    expect([count("candidate"), count("reference"), count("beside")]).toEqual([500, 500, 9_000]);
    expect(split.baselineEnd).toBe(Math.round(HASH_SPACE / 20) * 2);
  });
});

describe("the cohort", () => {
  const cookie = { type: "cookie", name: "staff", value: "1" } as const;

  test("gets the candidate whatever its keys, at every stage", () => {
    for (const percentage of [0, 10, 100]) {
      const split = splitOf(percentage, { cohort: COHORT });
      const decision = ask(split, { "x-team": "edge", [KEY_HEADER]: "any" });
      expect(show(decision)).toEqual([CANDIDATE, "cohort", "cohort"]);
    }
  });

  test("is known by a cookie as well", () => {
    const split = splitOf(0, { cohort: cookie });
    expect(show(ask(split, { Cookie: "a=b; staff=1" }))).toEqual([CANDIDATE, "cohort", "cohort"]);
    expect(show(ask(split, { Cookie: "a=b; staff=2" }))).toEqual([STABLE, "single", "beside"]);
  });

  test("is nobody else: another value, or no header at all", () => {
    const split = splitOf(0, { cohort: COHORT });
    expect(ask(split, { "x-team": "edges" }).reason).toBe("single");
    expect(ask(split).reason).toBe("single");
  });

  test("comes after an override", () => {
    const split = splitOf(0, { cohort: COHORT });
    const headers = { "x-team": "edge", [OVERRIDES_HEADER]: `w="${STABLE}"` };
    expect(show(ask(split, headers))).toEqual([STABLE, "override", undefined]);
  });
});

test("requests count by what the split gave them: none of an override, a fallback, or without a rollout", () => {
  const split = splitOf(50, { baseline: 10, cohort: COHORT });
  for (const arm of [split.candidate, split.stable, split.baseline]) {
    expect([arm?.override.observed, arm?.fallback.observed]).toEqual([undefined, undefined]);
  }
  const plain = compileSplit(recordOf(sharesAt(50)));
  expect(ask(plain, { [KEY_HEADER]: "any" }).observed).toBeUndefined();
});

describe("a client of whom only the key and the version are known", () => {
  test("counts as what its requests count as", () => {
    fc.assert(
      fc.property(stage, key, (percentage, each) => {
        const split = splitOf(percentage, { baseline: 10 });
        const { version, observed } = byKey(split, each);
        expect(observedByKey(split, each, version.version_id)).toBe(observed);
      }),
    );
  });

  test("is of the cohort where the candidate served it against its key", () => {
    expect(observedByKey(splitOf(0, { cohort: COHORT }), "any", CANDIDATE)?.arm).toBe("cohort");
  });

  test("counts as nothing where the split gives it another version by now", () => {
    expect(observedByKey(splitOf(0), "any", CANDIDATE)).toBeUndefined();
    expect(observedByKey(splitOf(100, { cohort: COHORT }), "any", STABLE)).toBeUndefined();
  });
});

test("deciding allocates nothing for a rollout: a key gets the same decision every time", () => {
  const split = splitOf(50, { baseline: 10, cohort: COHORT });
  fc.assert(
    fc.property(key, (each) => {
      const [first, again] = [byKey(split, each), byKey(split, each)];
      return first === again;
    }),
  );
});
