import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { DirectoryView } from '@sallyport/security-api';
import * as api from '@sallyport/security-api/admin';
import { Attribute, Change, type Client } from 'ldapts';
import { Gateway } from '../gateway.ts';
import { directoryOf, ldapInput, settled, sync } from './operate.ts';
import { adTree, dnOf, groupDn, standardTree } from './people.ts';
import { RealLdap, SUFFIX } from './slapd.ts';

/** One line of the table. */
export interface Step {
  readonly what: string;
  readonly seconds: number;
  readonly memoryMiB: number;
  readonly did: string;
}

/** Changes of each kind between two syncs. */
const CHANGES = 100;

/** Syncs of a directory with so many users, one after the other, with times and the highest memory of Security. */
export async function measureSyncs(flavour: 'standard' | 'ad', users: number): Promise<Step[]> {
  const ldap = await RealLdap.start(flavour === 'ad' ? adTree(users) : standardTree(users));
  const gateway = await Gateway.start({ proxies: 1 });
  const root = await ldap.root();
  const steps: Step[] = [];
  const note = async (what: string, work: () => Promise<DirectoryView>): Promise<void> => {
    const memory = watchMemory(gateway.security.pid);
    const view = await work();
    const { tookMs, read, created, changed, disabled, removed, joined, left } = view.report!;
    const did = `${read} read, ${created} created, ${changed} changed, ${disabled} disabled, ${removed} removed, ${joined} joined, ${left} left groups`;
    steps.push({ what, seconds: tookMs / 1_000, memoryMiB: memory.stop(), did });
  };
  const put = { flavour, suffix: `-${flavour}` };
  try {
    await note('first sync, killed at a third, then resumed', async () => {
      await gateway.operator.call(api.directories.put, { params: { name: 'corp' }, body: ldapInput(ldap, put) });
      for (let accounts = 0; accounts < users / 3; ) ({ accounts } = await directoryOf(gateway.operator, 'corp'));
      await gateway.restartSecurity('SIGKILL');
      return settled(gateway.operator, 'corp');
    });
    await gateway.operator.call(api.directories.put, {
      params: { name: 'fresh' },
      body: ldapInput(ldap, { ...put, suffix: '-fresh' }),
    });
    await note('first sync in one go', () => settled(gateway.operator, 'fresh'));
    await note('incremental, nothing changed', () => sync(gateway.operator, 'corp'));
    await changeSome(root, flavour, users);
    await note(
      `incremental: ${CHANGES} new, ${CHANGES} changed, ${CHANGES} disabled, ${CHANGES} deleted, 1 group`,
      () => sync(gateway.operator, 'corp'),
    );
    await note('full, nothing changed', () => sync(gateway.operator, 'corp', { mode: 'full' }));
    await gateway.operator.call(api.directories.put, {
      params: { name: 'next' },
      body: { ...ldapInput(ldap, put), stage: 'staged' },
    });
    await settled(gateway.operator, 'next');
    for (const apply of [false, true]) steps.push(await measureMigration(gateway, apply));
    return steps;
  } finally {
    await root.unbind();
    await gateway.stop();
    await ldap.stop();
  }
}

/** Moves everybody to a directory that has the same people. */
async function measureMigration(gateway: Gateway, apply: boolean): Promise<Step> {
  const memory = watchMemory(gateway.security.pid);
  const at = performance.now();
  const body = { from: 'corp', to: 'next', match: ['subject', 'subject'] as const, apply };
  const { moves, rights } = await gateway.operator.call(api.directories.migrate, { body });
  const seconds = (performance.now() - at) / 1_000;
  const what = apply ? 'migration to another directory' : 'migration, dry run';
  return {
    what,
    seconds,
    memoryMiB: memory.stop(),
    did: `${moves.length} users move, ${rights.length} with other rights`,
  };
}

/** The highest resident memory of a process while it is watched. */
function watchMemory(pid: number): { stop(): number } {
  let highest = 0;
  let watching = true;
  const watch = async (): Promise<void> => {
    while (watching) {
      highest = Math.max(highest, residentMiB(pid));
      await sleep(50);
    }
  };
  void watch();
  return {
    stop() {
      watching = false;
      return highest;
    },
  };
}

function residentMiB(pid: number): number {
  try {
    const [, kib = '0'] = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
    return Math.round(Number(kib) / 1_024);
  } catch {
    return 0;
  }
}

async function changeSome(root: Client, flavour: 'standard' | 'ad', users: number): Promise<void> {
  const attribute = flavour === 'ad' ? 'cn' : 'uid';
  let usn = 10_000_000;
  const replace = async (dn: string, type: string, value: string): Promise<void> => {
    const one = (name: string, values: string[]): Change =>
      new Change({ operation: 'replace', modification: new Attribute({ type: name, values }) });
    await root.modify(dn, [one(type, [value]), ...(flavour === 'ad' ? [one('uSNChanged', [String(usn++)])] : [])]);
  };
  for (let i = 0; i < CHANGES; i++) {
    const at = (offset: number): string => dnOf(offset * CHANGES + i, attribute);
    await replace(at(1), flavour === 'ad' ? 'displayName' : 'cn', `Changed ${i}`);
    await replace(at(2), flavour === 'ad' ? 'userAccountControl' : 'shadowExpire', flavour === 'ad' ? '514' : '1');
    await root.del(at(3));
    await root.add(`${attribute}=new${i},ou=people,${SUFFIX}`, newEntry(flavour, `new${i}`, String(usn++)));
  }
  const member = new Attribute({ type: 'member', values: [dnOf(users - 1, attribute)] });
  await root.modify(groupDn('team-0'), [
    new Change({ operation: 'add', modification: member }),
    ...(flavour === 'ad'
      ? [
          new Change({
            operation: 'replace',
            modification: new Attribute({ type: 'uSNChanged', values: [String(usn++)] }),
          }),
        ]
      : []),
  ]);
}

function newEntry(flavour: 'standard' | 'ad', login: string, usn: string): Record<string, string | string[]> {
  const plain = { cn: login, sn: login };
  if (flavour === 'standard') return { ...plain, objectClass: ['inetOrgPerson'], uid: login };
  return {
    ...plain,
    objectClass: ['user'],
    sAMAccountName: login,
    objectGUID: login.padEnd(16, '-').slice(0, 16),
    uSNChanged: usn,
    userAccountControl: '512',
  };
}
