/** The Durable Object classes of a Worker, and the migrations that change them. Pure. */
import type { SluiceError } from "../lib/errors.ts";
import { err, ok, type Result } from "../lib/result.ts";

/** A class and the namespace of its objects. A renamed class keeps its namespace. */
interface ObjectClass {
  readonly class_name: string;
  readonly namespace_id: string;
}

export interface Lifecycle {
  /** Tag of the last migration; null before the first. */
  readonly tag: string | null;
  readonly classes: readonly ObjectClass[];
}

/** A migration as wrangler sends it: https://developers.cloudflare.com/durable-objects/reference/durable-objects-migrations/ */
export interface Migrations {
  readonly old_tag?: string | undefined;
  readonly new_tag?: string | undefined;
  readonly steps: readonly MigrationStep[];
}

export interface MigrationStep {
  readonly new_classes?: readonly string[] | undefined;
  readonly new_sqlite_classes?: readonly string[] | undefined;
  readonly renamed_classes?: readonly { readonly from: string; readonly to: string }[] | undefined;
  readonly deleted_classes?: readonly string[] | undefined;
}

/**
 * The classes after a migration. Deleting a class makes its objects unreachable: a later class of the same name gets a
 * new namespace.
 *
 * @param newId makes the id of a new namespace
 */
export function migrate(
  before: Lifecycle,
  migrations: Migrations,
  newId: () => string,
): Result<Lifecycle, SluiceError> {
  const refuse = (detail: string) => err({ reason: "migration-invalid", detail } as const);
  if ((migrations.old_tag ?? null) !== before.tag) {
    const [expected, last] = [migrations.old_tag ?? null, before.tag].map((tag) => JSON.stringify(tag));
    return refuse(`it expects ${expected} as the last migration, but that is ${last}`);
  }
  const classes = new Map(before.classes.map(({ class_name, namespace_id }) => [class_name, namespace_id]));
  for (const step of migrations.steps) {
    for (const name of [...(step.new_classes ?? []), ...(step.new_sqlite_classes ?? [])]) {
      if (classes.has(name)) return refuse(`the class "${name}" already exists`);
      classes.set(name, newId());
    }
    for (const { from, to } of step.renamed_classes ?? []) {
      const namespace = classes.get(from);
      if (namespace === undefined) return refuse(`there is no class "${from}" to rename`);
      if (classes.has(to)) return refuse(`the class "${to}" already exists`);
      classes.delete(from);
      classes.set(to, namespace);
    }
    for (const name of step.deleted_classes ?? []) {
      if (!classes.delete(name)) return refuse(`there is no class "${name}" to delete`);
    }
  }
  return ok({
    tag: migrations.new_tag ?? before.tag,
    classes: [...classes].map(([class_name, namespace_id]) => ({ class_name, namespace_id })),
  });
}

/** Class names by namespace id, for the deployment record; undefined where there are none. */
export function classesByNamespace({ classes }: Lifecycle): Record<string, string> | undefined {
  if (classes.length === 0) return undefined;
  return Object.fromEntries(classes.map(({ class_name, namespace_id }) => [namespace_id, class_name]));
}

/** Namespace ids by class name, for a version; undefined where there are none. */
export function namespacesByClass({ classes }: Lifecycle): Record<string, string> | undefined {
  if (classes.length === 0) return undefined;
  return Object.fromEntries(classes.map(({ class_name, namespace_id }) => [class_name, namespace_id]));
}
