/** `/access`: API tokens, for admins, and signing out everywhere. */
import { ROLES } from "../../account/access.ts";
import type { TokenView } from "../../account/types.ts";
import { type PageContext, read } from "../context.ts";
import { Alert, Csrf, Layout, Table, Time } from "../layout.tsx";

const MEANINGS = {
  admin: "everything",
  deploy: "everything except tokens",
  read: "view only, without the data that Workers store",
} as const;

/** @param made the value of a new token, which is shown only once */
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
          Token created. Copy it now, it is not shown again: <code id="made">{given.made}</code>
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
            <button type="submit">Create token</button>
          </form>
          <Table caption="Tokens" head={["Name", "Role", "Created (UTC)", "Author", "Last used (UTC)", ""]}>
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
          {tokens.length === 0 ? <p>No tokens yet.</p> : null}
          <p class="hint">
            The server's own admin token is not listed. To replace it, restart the server with another one.
          </p>
        </>
      ) : null}
      <form class="card" method="post" action="/sign-out">
        <h2>Sessions</h2>
        <p>Ends every session, in every browser, that was opened with the token you signed in with.</p>
        <Csrf user={c.var.user} />
        <button type="submit" name="everywhere" value="true" class="danger">
          Sign out everywhere
        </button>
      </form>
    </Layout>
  );
}
