/** Runs simulations of the gate, and adds up how they ended. */
import type { World } from "../../src/rollout/model.ts";
import { rehearse } from "../../src/rollout/rehearsal.ts";
import { seeded } from "../../src/rollout/simulate.ts";
import type { Reference } from "../../src/rollout/types.ts";
import { type Harm, HARMS, harmedWorldOf, STEADY } from "./harms.ts";
import { NULLS, worldOf } from "./nulls.ts";

/** Some runs of one row of a table. */
export interface Task {
  readonly table: "nulls" | "steady" | "harms";
  /** Index in the table. */
  readonly row: number;
  readonly reference: Reference;
  /** Numbers of the runs; each has a seed of its own. */
  readonly from: number;
  readonly to: number;
}

/** One run. */
export interface Ending {
  readonly phase: string;
  readonly seconds: number;
  /** Clients with a first failure, on the two compared arms and on the candidate. */
  readonly failures: number;
  readonly harmed: number;
}

export function endingsOf({ table, row, reference, from, to }: Task): Ending[] {
  return Array.from({ length: to - from }, (_, i) => {
    const random = seeded((from + i) * 7_919 + 13 + row);
    const world: World =
      table === "nulls"
        ? worldOf(of(NULLS, row), reference, random)
        : harmedWorldOf(of<Harm>(table === "steady" ? STEADY : HARMS, row), reference);
    const { rollout, seconds } = rehearse(world, random);
    const { candidate, reference: compared, cohort } = rollout.evidence.total;
    return {
      phase: rollout.phase,
      seconds,
      failures: candidate.failures + compared.failures,
      harmed: candidate.failures + cohort.failures,
    };
  });
}

function of<Row>(rows: readonly Row[], index: number): Row {
  return rows[index] as Row;
}
