/** What is known about a candidate: the effect, the users harmed, counts by arm, and E-values. */
import type { Child } from "hono/jsx";
import type { ArmCounts } from "../../rollout/types.ts";
import { count, milliseconds, plural, ratePercent } from "../format.ts";
import { Table } from "../layout.tsx";
import { armsOf, harmedText, onScale, referenceName, unknownText } from "../rollout-text.ts";
import type { RolloutView } from "../types.ts";

/** The effect, the users harmed and what was counted of each arm. */
export function Effect({ rollout }: { rollout: RolloutView }) {
  const { effect, users_harmed, plan, cpu } = rollout;
  const { max_harmed } = plan.gates;
  const isKnown = effect.from !== null || effect.to !== null;
  return (
    <section class="card" aria-labelledby="effect-title">
      <h2 id="effect-title">Effect</h2>
      {isKnown ? (
        <>
          <p class="effect">
            The candidate fails <b>{effect.text}</b> as {referenceName(plan)}.
          </p>
          <RatioBar effect={effect} />
        </>
      ) : (
        <p class="effect">{unknownText(rollout)}</p>
      )}
      <p class="harmed">
        <b>{harmedText(users_harmed)}</b>
        {max_harmed === null ? "" : `; the gate fails at ${count(max_harmed)}`}.
        {isKnown && effect.unsettled_failures > 0
          ? ` ${plural(effect.unsettled_failures, "failure")} of the last seconds will still change the range.`
          : ""}
      </p>
      {cpu === null ? null : (
        <p>
          A request takes {milliseconds(cpu.candidate_ms)} of processor time on the candidate, and{" "}
          {milliseconds(cpu.baseline_ms)} on its baseline.
        </p>
      )}
    </section>
  );
}

const TICKS = ["1/64", "1/8", "1", "8", "64"] as const;

/** The range of the ratio, on a logarithmic scale. A side without a bound goes to the edge. */
function RatioBar({ effect: { from, to, text } }: Pick<RolloutView, "effect">) {
  const left = from === null ? 0 : onScale(from);
  const right = to === null ? 100 : onScale(to);
  return (
    <figure class="ratio">
      <svg
        class="bar thin"
        role="img"
        aria-label={`Range: ${text}`}
        viewBox="0 0 100 10"
        preserveAspectRatio="none"
      >
        <rect class="empty" x="0" y="0" width="100" height="10" />
        <rect
          class="candidate"
          x={left.toFixed(2)}
          y="0"
          width={Math.max(right - left, 0.5).toFixed(2)}
          height="10"
        />
        <rect class="equal" x="49.8" y="0" width="0.4" height="10" />
      </svg>
      <div class="ticks" aria-hidden="true">
        {TICKS.map((tick) => (
          <span>{tick}</span>
        ))}
      </div>
    </figure>
  );
}

export function Arms({ rollout: { plan, counts } }: { rollout: RolloutView }) {
  const inStage = new Map(armsOf(plan, counts.stage));
  return (
    <Table
      caption="Visits, and clients with a failure"
      head={["Arm", "Visits in this stage", "Failed in this stage", "Visits", "Failed"]}
    >
      {armsOf(plan, counts.total).map(([name, total]) => {
        const stage = inStage.get(name) ?? total;
        return (
          <tr>
            <th scope="row">{name}</th>
            <td>{count(stage.exposures)}</td>
            <td>{failed(stage)}</td>
            <td>{count(total.exposures)}</td>
            <td>{failed(total)}</td>
          </tr>
        );
      })}
    </Table>
  );
}

function failed({ exposures, failures }: ArmCounts): string {
  return exposures === 0 ? count(failures) : `${count(failures)} (${ratePercent(failures / exposures)})`;
}

export function Gates({ rollout: { gates, share_e_value } }: { rollout: RolloutView }) {
  return (
    <Table caption="Gates" head={["Gate", "E-value", "Fails at", ""]}>
      {Object.entries(gates).map(([name, { e_value, threshold }]) => (
        <tr>
          <th scope="row">{name}</th>
          <td>{figure(e_value)}</td>
          <td>{figure(threshold)}</td>
          <td class="text">
            {name === "errors"
              ? "More clients fail than should."
              : "More clients get slow answers than should."}
          </td>
        </tr>
      ))}
      <tr>
        <th scope="row">configured share</th>
        <td>{figure(share_e_value)}</td>
        <td />
        <td class="text">Holds the rollout when clients are not split as configured.</td>
      </tr>
    </Table>
  );
}

/** Clients beyond each threshold of the latency gate. Nothing where the plan does not watch latency. */
export function Slow({ rollout: { gates, slow, slow_ms, plan } }: { rollout: RolloutView }): Child {
  if (gates.latency === undefined) return null;
  if (slow_ms === null) {
    return (
      <p class="hint">
        Slow answers are not judged yet: too few clients of the stable version show how long its answers take.
      </p>
    );
  }
  const arm = (name: "candidate" | "reference", i: number) =>
    `${count(slow[name][i] ?? 0)} of ${count(slow.clients[name])}`;
  return (
    <Table
      caption="Clients with an answer beyond each threshold"
      head={["Threshold", "Candidate", plan.gates.reference === "baseline" ? "Baseline" : "Stable version"]}
    >
      {slow_ms.map((ms, i) => (
        <tr>
          <th scope="row">{milliseconds(ms)}</th>
          <td>{arm("candidate", i)}</td>
          <td>{arm("reference", i)}</td>
        </tr>
      ))}
    </Table>
  );
}

function figure(value: number): string {
  return value >= 10_000 ? value.toExponential(1) : String(Number(value.toPrecision(3)));
}
