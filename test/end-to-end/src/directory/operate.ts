import { setTimeout as sleep } from 'node:timers/promises';
import type { DirectoryView } from '@sallyport/security-api';
import type { Operator } from '../operator.ts';
import { READER_DN, READER_PASSWORD, type RealLdap, SUFFIX } from './slapd.ts';

/** Settings of an LDAP directory; syncs happen when the test asks, unless it says otherwise. */
export function ldapInput(ldap: RealLdap, over: object = {}): object {
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
  return (await operator.call('GET', `/v1/directories/${name}`)) as unknown as DirectoryView;
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
export async function sync(operator: Operator, name: string, body: object = {}): Promise<DirectoryView> {
  await settled(operator, name);
  for (;;) {
    const { done } = (await operator.call('POST', `/v1/directories/${name}/sync`, body)) as { done: boolean };
    const view = await settled(operator, name);
    if (done) return view;
  }
}
