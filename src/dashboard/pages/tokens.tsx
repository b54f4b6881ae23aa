/** `/access`: API tokens for those who may make them, and the sessions of whoever looks. */
import { ROLES } from "../../account/access.ts";
import type { TokenView } from "../../account/types.ts";
import { type PageContext, read } from "../context.ts";
import { Alert, Csrf, Layout, Table, Time } from "../layout.tsx";

const MEANINGS = {
  admin: "everything",
  deploy: "everything but tokens",
  read: "looks, changes nothing, and does not see what Workers store",
} as const;

/** @param made a token that was made just now: its value is shown once */
export async function tokensPage(
  c: PageContext,
  given: { readonly made?: string; readonly problem?: string } = {},
) {
  const isAdmin = c.var.user.role === "admin";
  const tokens = isAdmin ? await read<TokenView[]>(c, "/tokens") : [];
  return (
    <Layout env={c.env} user={c.var.user} title="Access">
      <h1>Access</h1>
      <Alert message={given.problem} />
      {given.made === undefined ? null : (
        <p class="alert done" role="status">
          The token, shown this once: <code id="made">{given.made}</code>
        </p>
      )}
      {isAdmin ? (
        <>
          <form class="card" method="post" action="/access/tokens">
            <h2>Create a token</h2>
            <Csrf user={c.var.user} />
            <div class="fields">
              <label>
                Name <input name="name" type="text" required={true} pattern="[a-z0-9][a-z0-9._-]{0,49}" />
              </label>
              <label>
                Role
                <select name="role">
                  {[...ROLES].reverse().map((role) => (
                    <option value={role}>{`${role}: ${MEANINGS[role]}`}</option>
                  ))}
                </select>
              </label>
            </div>
            <button type="submit">Make it</button>
          </form>
          <Table caption="Tokens" head={["Name", "Role", "Made (UTC)", "By", "Used last (UTC)", ""]}>
            {tokens.map(({ id, name, role, created_on, created_by, last_used_on }) => (
              <tr>
                <th scope="row">{name}</th>
                <td>
                  <span class="chip">{role}</span>
                </td>
                <td>
                  <Time at={created_on} />
                </td>
                <td>{created_by}</td>
                <td>
                  <Time at={last_used_on} />
                </td>
                <td>
                  <form method="post" action={`/access/tokens/${id}/revoke`}>
                    <Csrf user={c.var.user} />
                    <button type="submit" class="danger">
                      Revoke {name}
                    </button>
                  </form>
                </td>
              </tr>
            ))}
          </Table>
          <p class="hint">
            The admin token of the server's configuration is not listed; it ends with another one there.
          </p>
        </>
      ) : null}
      <form class="card" method="post" action="/sign-out">
        <h2>Sessions</h2>
        <p>Ends every session, in every browser, that your token opened.</p>
        <Csrf user={c.var.user} />
        <button type="submit" name="everywhere" value="true" class="danger">
          Sign out everywhere
        </button>
      </form>
    </Layout>
  );
}
