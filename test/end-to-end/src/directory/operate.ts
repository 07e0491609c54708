import { setTimeout as sleep } from 'node:timers/promises';
import type { DirectoryInput, DirectoryView, SyncInput, User } from '@sallyport/security-api';
import * as api from '@sallyport/security-api/admin';
import type { Operator } from '../operator.ts';
import { READER_DN, READER_PASSWORD, type RealLdap, SUFFIX } from './slapd.ts';

/** An LDAP directory as an operator writes it. */
type LdapInput = Extract<DirectoryInput, { readonly kind: 'ldap' }>;

/** Settings of an LDAP directory; syncs happen when the test asks, unless it says otherwise. */
export function ldapInput(ldap: RealLdap, over: object = {}): LdapInput {
  return {
    kind: 'ldap',
    stage: 'active',
    settings: {
      servers: [ldap.url],
      ca: ldap.ca,
      flavour: 'standard',
      bindDn: READER_DN,
      base: `ou=people,${SUFFIX}`,
      groupBase: `ou=groups,${SUFFIX}`,
      syncEveryMs: 86_400_000,
      ...over,
    },
    secrets: { bindPassword: READER_PASSWORD },
  };
}

/** A directory as the operator sees it. */
export async function directoryOf(operator: Operator, name: string): Promise<DirectoryView> {
  return operator.call(api.directories.get, { params: { name } });
}

/** Waits until no sync runs. */
export async function settled(operator: Operator, name: string): Promise<DirectoryView> {
  for (;;) {
    const view = await directoryOf(operator, name);
    if (!view.running && (view.report || view.trouble)) return view;
    await sleep(50);
  }
}

/** Syncs now and gives what came of it. */
export async function sync(operator: Operator, name: string, body: SyncInput = {}): Promise<DirectoryView> {
  await settled(operator, name);
  for (;;) {
    const { done } = await operator.call(api.directories.sync, { params: { name }, body });
    const view = await settled(operator, name);
    if (done) return view;
  }
}

/** A user of the realm, by name; undefined when there is none. */
export async function userNamed(operator: Operator, name: string): Promise<User | undefined> {
  const { status, json } = await operator.raw('GET', `/v1/users/${name}`);
  if (status === 404) return undefined;
  if (status !== 200) throw new Error(`user ${name}: ${JSON.stringify(json)}`);
  return json as unknown as User;
}

/** Why somebody was refused last, in the words of the audit log. */
export async function lastRefusal(operator: Operator): Promise<string> {
  const events = await operator.call(api.audit.list, { query: { limit: '20' } });
  return events.find(({ outcome }) => outcome === 'refused')?.reason ?? 'none';
}
