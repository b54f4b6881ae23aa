import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decide, decideByKey, decideFallback, type Given } from "../../src/router/decide.ts";
import { KEY_HEADER, requestWith } from "../../src/router/signals.ts";
import { type Arm, armOfKey, type Decision, type Split } from "../../src/router/split.ts";
import { anyString, CANDIDATE, percentage, STABLE, splitAt, splitOfOne } from "./keys.ts";

const never = () => {
  throw new Error("randomness was asked for");
};
/** Stands for a key that must not be read. */
const unreadable = Symbol("unreadable");

const given = (change: Partial<Given> = {}): Given => ({
  addressHeader: "",
  isFromClient: true,
  now: () => 0,
  random: never,
  newIdentity: never,
  ...change,
});

/** The decision for a request with this override and this key. */
function ask(
  split: Split,
  override: string | undefined,
  key: string | typeof unreadable | undefined,
  random: () => number,
): Decision {
  const { url, headers } = requestWith(split.record.worker, {
    ...(override === undefined ? {} : { override }),
    ...(typeof key === "string" ? { key } : {}),
  });
  const get = (name: string) =>
    name === KEY_HEADER && key === unreadable ? expect.fail("the key was read") : headers.get(name);
  return decide(split, { url, headers: { get } }, given({ random }));
}

const show = (decision: Decision | undefined) => decision && [decision.version.version_id, decision.reason];
const stableOf = (split: Split) => split.stable as Arm;

describe("the decision for a request", () => {
  test("follows the override before the key, and the key before chance", () => {
    const split = splitAt(50);
    expect(show(ask(split, CANDIDATE, unreadable, never))).toEqual([CANDIDATE, "override"]);
    expect(show(ask(split, STABLE, unreadable, never))).toEqual([STABLE, "override"]);
    const byKey = ask(split, undefined, "some key", never);
    expect(show(byKey)).toEqual([armOfKey(split, "some key").version.version_id, "key"]);
    expect(ask(split, undefined, undefined, () => 0.3).reason).toBe("random");
  });

  test("honours an override of a version at 0%, and of the stable one when the candidate has everybody", () => {
    expect(show(ask(splitAt(0), CANDIDATE, unreadable, never))).toEqual([CANDIDATE, "override"]);
    expect(show(ask(splitAt(100), STABLE, unreadable, never))).toEqual([STABLE, "override"]);
  });

  test("has no override where one version is all there is, whatever a request names", () => {
    for (const named of [STABLE, CANDIDATE, ""]) {
      expect(show(ask(splitOfOne(STABLE), named, unreadable, never))).toEqual([STABLE, "single"]);
    }
  });

  test("ignores an override of a version that is not in the deployment", () => {
    const split = splitAt(50);
    for (const other of ["", "somebody else's", CANDIDATE.toUpperCase(), `${CANDIDATE} `, "constructor"]) {
      expect(ask(split, other, "key", never), other).toBe(ask(split, undefined, "key", never));
      expect(
        ask(split, other, undefined, () => 0),
        other,
      ).toBe(split.candidate.random);
      expect(show(ask(splitAt(0), other, undefined, never)), other).toEqual([STABLE, "single"]);
    }
  });

  test("neither hashes nor draws where one version serves everybody", () => {
    expect(show(ask(splitOfOne(STABLE), undefined, unreadable, never))).toEqual([STABLE, "single"]);
    expect(show(ask(splitAt(100), undefined, unreadable, never))).toEqual([CANDIDATE, "single"]);
    expect(show(ask(splitAt(0), undefined, unreadable, never))).toEqual([STABLE, "single"]);
    expect(show(ask(splitAt(0), undefined, undefined, never))).toEqual([STABLE, "single"]);
  });

  test("never draws for a request with a key, and is the same every time", () => {
    const override = fc.option(fc.oneof(fc.string(), fc.constantFrom(CANDIDATE, STABLE)), { nil: undefined });
    fc.assert(
      fc.property(
        percentage,
        override,
        anyString().filter((key) => key !== ""),
        (share, version, key) => {
          const [first, again] = [splitAt(share), splitAt(share)].map((split) =>
            ask(split, version, key, never),
          );
          expect(again).toEqual(first);
        },
      ),
    );
  });

  test("draws the candidate for the lower part of [0, 1) and the stable version for the rest", () => {
    const draw = (share: number, random: number) =>
      show(ask(splitAt(share), undefined, undefined, () => random));
    expect(draw(10, 0)).toEqual([CANDIDATE, "random"]);
    expect(draw(10, 0.0999999)).toEqual([CANDIDATE, "random"]);
    expect(draw(10, 0.1000001)).toEqual([STABLE, "random"]);
    for (const share of [0.001, 50, 99.999]) {
      expect(draw(share, 0), `${share}%`).toEqual([CANDIDATE, "random"]);
      expect(draw(share, 1 - 2 ** -53), `${share}%`).toEqual([STABLE, "random"]);
    }
  });

  test("draws the candidate for exactly its share of evenly spread numbers", () => {
    const n = 100_000;
    const split = splitAt(12.345);
    let seen = 0;
    for (let i = 0; i < n; i++) {
      if (ask(split, undefined, undefined, () => (i + 0.5) / n).version === split.candidate.version) seen++;
    }
    expect(seen).toBe(12_345);
  });
});

describe("the decision for a key alone", () => {
  test("is the one that a request with the key gets", () => {
    fc.assert(
      fc.property(percentage, anyString(), (share, key) => {
        const split = splitAt(share);
        expect(decideByKey(split, key || "-")).toBe(ask(split, undefined, key || "-", never));
      }),
    );
    expect(show(decideByKey(splitOfOne(STABLE), "key"))).toEqual([STABLE, "single"]);
  });
});

describe("when the version decided on cannot be loaded", () => {
  const reasons = ["override", "key", "random", "single"] as const;

  test("the stable version takes over from the candidate, whatever the reason and the share", () => {
    for (const share of [0, 0.001, 50, 100]) {
      const split = splitAt(share);
      for (const reason of reasons) {
        expect(show(decideFallback(split, split.candidate[reason]))).toEqual([STABLE, "fallback"]);
      }
    }
  });

  test("the candidate takes over from the stable version only if it was given traffic", () => {
    for (const reason of reasons) {
      for (const share of [0.001, 50, 100]) {
        const split = splitAt(share);
        expect(show(decideFallback(split, stableOf(split)[reason]))).toEqual([CANDIDATE, "fallback"]);
      }
      const dark = splitAt(0);
      expect(decideFallback(dark, stableOf(dark)[reason])).toBeUndefined();
    }
  });

  test("nothing takes over from a single version", () => {
    const split = splitOfOne(STABLE);
    for (const reason of reasons) {
      expect(decideFallback(split, split.candidate[reason])).toBeUndefined();
    }
  });
});
