/** The Durable Object classes of a Worker, as its migrations leave them. Pure. */
import type { SluiceError } from "../lib/errors.ts";
import { err, ok, type Result } from "../lib/result.ts";

/** One class and the namespace of its objects, which outlives the class's name. */
interface ObjectClass {
  readonly class_name: string;
  readonly namespace_id: string;
}

export interface Lifecycle {
  /** Tag of the last migration; null before the first. */
  readonly tag: string | null;
  readonly classes: readonly ObjectClass[];
}

/** A migration as wrangler sends it (https://developers.cloudflare.com/durable-objects/reference/durable-objects-migrations/). */
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
 * The classes after a migration. Objects of a deleted class are not found again: a class of the same name that comes
 * later has a namespace of its own.
 *
 * @param newId gives the id of a new namespace
 */
export function migrate(
  before: Lifecycle,
  migrations: Migrations,
  newId: () => string,
): Result<Lifecycle, SluiceError> {
  const refuse = (detail: string) => err({ reason: "migration-invalid", detail } as const);
  if ((migrations.old_tag ?? null) !== before.tag) {
    return refuse(
      `it expects the Worker at the migration ${JSON.stringify(migrations.old_tag ?? null)}, and it is at ${JSON.stringify(before.tag)}`,
    );
  }
  const classes = new Map(before.classes.map(({ class_name, namespace_id }) => [class_name, namespace_id]));
  for (const step of migrations.steps) {
    for (const name of [...(step.new_classes ?? []), ...(step.new_sqlite_classes ?? [])]) {
      if (classes.has(name)) return refuse(`the class "${name}" is there already`);
      classes.set(name, newId());
    }
    for (const { from, to } of step.renamed_classes ?? []) {
      const namespace = classes.get(from);
      if (namespace === undefined) return refuse(`there is no class "${from}" to rename`);
      if (classes.has(to)) return refuse(`the class "${to}" is there already`);
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

/** By namespace, as the deployment record has them; undefined for none. */
export function classesByNamespace({ classes }: Lifecycle): Record<string, string> | undefined {
  if (classes.length === 0) return undefined;
  return Object.fromEntries(classes.map(({ class_name, namespace_id }) => [namespace_id, class_name]));
}

/** By class, as a version has them; undefined for none. */
export function namespacesByClass({ classes }: Lifecycle): Record<string, string> | undefined {
  if (classes.length === 0) return undefined;
  return Object.fromEntries(classes.map(({ class_name, namespace_id }) => [class_name, namespace_id]));
}
