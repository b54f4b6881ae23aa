/** Hono's router for an app with a single route: there is nothing to match. */
import type { Result, Router } from "hono/router";

export class OneRoute<T> implements Router<T> {
  readonly name = "OneRoute";
  #match: Result<T> = [[]];

  add(_method: string, _path: string, handler: T): void {
    this.#match = [[[handler, Object.create(null)]]];
  }

  match(): Result<T> {
    return this.#match;
  }
}
