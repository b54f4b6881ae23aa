import { describe, expect, test } from "vitest";
import { type Condition, holds } from "../../../src/storage/r2/conditions.ts";

const UPLOADED = 1_700_000_000_500;
const OBJECT = { etag: "a", uploaded: UPLOADED };
const strong = (value: string) => [{ type: "strong" as const, value }];
const weak = (value: string) => [{ type: "weak" as const, value }];
const ANY = [{ type: "wildcard" as const }];

describe("a condition", () => {
  test.each<[string, Condition, whenThere: boolean, whenNot: boolean]>([
    ["nothing", {}, true, true],
    ["this etag", { etagMatches: strong("a") }, true, false],
    ["another etag", { etagMatches: strong("b") }, false, false],
    ["one of several", { etagMatches: [...strong("b"), ...strong("a")] }, true, false],
    ["this etag as a weak one", { etagMatches: weak("a") }, false, false],
    ["any object", { etagMatches: ANY }, true, false],
    ["not this etag", { etagDoesNotMatch: strong("a") }, false, true],
    ["not this etag as a weak one", { etagDoesNotMatch: weak("a") }, false, true],
    ["not another etag", { etagDoesNotMatch: strong("b") }, true, true],
    ["no object", { etagDoesNotMatch: ANY }, false, true],
    ["newer", { uploadedAfter: UPLOADED - 1 }, true, false],
    ["not newer", { uploadedAfter: UPLOADED }, false, false],
    ["older", { uploadedBefore: UPLOADED + 1 }, true, true],
    ["not older", { uploadedBefore: UPLOADED }, false, true],
    ["newer, in the same second", { uploadedAfter: UPLOADED - 400, secondsGranularity: true }, false, false],
    ["older, in the same second", { uploadedBefore: UPLOADED + 400, secondsGranularity: true }, false, true],
    ["this etag, and older", { etagMatches: strong("a"), uploadedBefore: 0 }, true, false],
    ["not another etag, and newer", { etagDoesNotMatch: strong("b"), uploadedAfter: UPLOADED }, true, false],
    ["not this etag, and newer", { etagDoesNotMatch: strong("a"), uploadedAfter: 0 }, false, false],
  ])("that asks for %s holds as R2 says", (_, condition, whenThere, whenNot) => {
    expect(holds(condition, OBJECT)).toBe(whenThere);
    expect(holds(condition, undefined)).toBe(whenNot);
  });
});
