import { type AccessContext, type Account, NEVER, putDirectory } from '../src/index.ts';
import type { UserRow } from '../src/people/rows.ts';
import { BY, directoryOf, scene } from './scene.ts';

/** An account of the directory corp. */
export const account = (subject: string, over: Partial<Account> = {}): Account => ({
  subject,
  externalId: '',
  login: subject,
  displayName: subject,
  active: true,
  expiresAt: NEVER,
  dn: '',
  version: '1',
  attributes: {},
  ...over,
});

/** A realm with the directory corp in it. */
export async function directory(
  kind: 'ldap' | 'scim' | 'oidc' = 'ldap',
  stage: 'staged' | 'active' = 'active',
): ReturnType<typeof scene> {
  const made = await scene();
  await putDirectory(made.access, 'corp', { ...directoryOf(kind, stage), secrets: { bindPassword: 'canary' } }, BY);
  return made;
}

/** All users of the realm. */
export function users(access: AccessContext): Promise<readonly UserRow[]> {
  return access.store.transaction(({ tables }) => tables.users.list());
}

/** A user of the realm, by name. */
export async function userOf(access: AccessContext, name: string): Promise<UserRow | undefined> {
  return (await users(access)).find((user) => user.name === name);
}
