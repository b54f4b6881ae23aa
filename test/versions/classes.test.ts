import { describe, expect, test } from "vitest";
import {
  classesByNamespace,
  type Lifecycle,
  type MigrationStep,
  migrate,
  namespacesByClass,
} from "../../src/versions/classes.ts";

const NONE: Lifecycle = { tag: null, classes: [] };

/** Applies steps one migration after the other, with ids 1, 2, …; throws the detail of a refusal. */
function migrated(...migrations: (readonly MigrationStep[])[]): Lifecycle {
  let at = NONE;
  let ids = 0;
  for (const [i, steps] of migrations.entries()) {
    const old = at.tag === null ? {} : { old_tag: at.tag };
    const result = migrate(at, { ...old, new_tag: `v${i + 1}`, steps }, () => `id-${++ids}`);
    if (!result.ok) throw new Error(result.error.reason === "migration-invalid" ? result.error.detail : "");
    at = result.value;
  }
  return at;
}

describe("a migration", () => {
  test("gives each new class a namespace of its own, whatever its storage", () => {
    expect(migrated([{ new_classes: ["A"], new_sqlite_classes: ["B"] }])).toEqual({
      tag: "v1",
      classes: [
        { class_name: "A", namespace_id: "id-1" },
        { class_name: "B", namespace_id: "id-2" },
      ],
    });
  });

  test("leaves a renamed class its namespace", () => {
    const { classes } = migrated(
      [{ new_sqlite_classes: ["A"] }],
      [{ renamed_classes: [{ from: "A", to: "B" }] }],
    );
    expect(classes).toEqual([{ class_name: "B", namespace_id: "id-1" }]);
  });

  test("never gives a deleted class's namespace to another one, not even of the same name", () => {
    const { classes } = migrated(
      [{ new_sqlite_classes: ["A"] }],
      [{ deleted_classes: ["A"] }],
      [{ new_sqlite_classes: ["A"] }],
    );
    expect(classes).toEqual([{ class_name: "A", namespace_id: "id-2" }]);
  });

  test("takes its steps in order", () => {
    const swap = migrated([
      { new_sqlite_classes: ["A"] },
      { renamed_classes: [{ from: "A", to: "B" }] },
      { new_sqlite_classes: ["A"] },
    ]);
    expect(namespacesByClass(swap)).toEqual({ A: "id-2", B: "id-1" });
    expect(classesByNamespace(swap)).toEqual({ "id-1": "B", "id-2": "A" });
  });

  test.each<[string, MigrationStep, RegExp]>([
    ["makes a class that is there", { new_sqlite_classes: ["A"] }, /"A" already exists/],
    ["renames a class that is not there", { renamed_classes: [{ from: "X", to: "Y" }] }, /no class "X"/],
    ["renames to a class that is there", { renamed_classes: [{ from: "A", to: "A" }] }, /"A" already exists/],
    ["deletes a class that is not there", { deleted_classes: ["X"] }, /no class "X"/],
  ])("is refused where it %s", (_, step, detail) => {
    expect(() => migrated([{ new_sqlite_classes: ["A"] }], [step])).toThrow(detail);
  });

  test("is refused where the Worker is not where it expects it", () => {
    const at = migrated([{ new_sqlite_classes: ["A"] }]);
    for (const old_tag of [undefined, "v0", "v2"]) {
      const result = migrate(at, { old_tag, new_tag: "v2", steps: [] }, () => "id");
      expect(result).toMatchObject({ ok: false, error: { detail: expect.stringContaining('"v1"') } });
    }
  });

  test("of a Worker without classes leaves nothing to route by", () => {
    expect([classesByNamespace(NONE), namespacesByClass(NONE)]).toEqual([undefined, undefined]);
  });
});
