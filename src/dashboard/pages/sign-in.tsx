/** `/sign-in`, and the error page. */
import type { Env } from "../../lib/env.ts";
import { Alert, Layout } from "../layout.tsx";

/** @param next path of the page to show after signing in */
export function signInPage(env: Env, next: string, problem: string | undefined) {
  return (
    <Layout env={env} user={undefined} title="Sign in">
      <h1>Sign in</h1>
      <Alert message={problem} />
      <form class="card narrow" method="post" action="/sign-in">
        <input type="hidden" name="next" value={next} />
        <label for="token">API token</label>
        <input
          id="token"
          name="token"
          type="password"
          autocomplete="current-password"
          required={true}
          autofocus={true}
        />
        <p class="hint">
          The admin token is in the data folder (<code>.sluice/token</code>). <code>sluice token create</code>{" "}
          creates more tokens.
        </p>
        <button type="submit">Sign in</button>
      </form>
    </Layout>
  );
}

export function errorPage(env: Env, title: string, message: string) {
  return (
    <Layout env={env} user={undefined} title={title}>
      <h1>{title}</h1>
      <p>{message}</p>
      <p>
        <a href="/">All Workers</a>
      </p>
    </Layout>
  );
}
