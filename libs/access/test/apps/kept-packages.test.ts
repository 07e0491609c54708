import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import {
  type KeptPackages,
  listAudit,
  proposeRelease,
  type ReleaseRow,
  releaseForDevice,
  sweepPackages,
  withdrawRelease,
} from '../../src/index.ts';
import { enrolled, withAda } from '../ada.ts';
import { BY } from '../scene.ts';
import { CI, DAY, packageOf, propose, published, withReleases } from './release-scene.ts';

/** A store that knows only which packages it has. */
class Shelf implements KeptPackages {
  readonly there: Set<string> = new Set();
  /** Thrown by the next removal. */
  fault: Error | undefined;

  async names(): Promise<string[]> {
    return [...this.there];
  }

  async drop(sha256: string): Promise<void> {
    const { fault } = this;
    this.fault = undefined;
    if (fault) throw fault;
    this.there.delete(sha256);
  }
}

async function shelved() {
  const made = await withAda();
  const { access, clock } = made;
  await withReleases(access, clock.now);
  const shelf = new Shelf();
  const add = (): string => {
    const sha256 = randomBytes(32).toString('hex');
    shelf.there.add(sha256);
    return sha256;
  };
  const removed = async (): Promise<string[]> =>
    (await access.store.transaction((transaction) => listAudit(transaction, 1_000)))
      .filter(({ action }) => action === 'package.remove')
      .map(({ subject }) => subject);
  return { ...made, shelf, add, removed, sweep: () => sweepPackages(access, shelf) };
}

test('a package that no release names is kept for 30 days, and then removed with an event of the audit log', async () => {
  const { access, clock, shelf, add, removed, sweep } = await shelved();
  const [unnamed, proposed, live, withdrawn] = [add(), add(), add(), add()];
  await propose(access, packageOf({ sha256: proposed, version: '1.1' }));
  await published(access, packageOf({ sha256: live, version: '1.2' }));
  const { id } = await published(access, packageOf({ sha256: withdrawn, version: '1.3' }));
  expect(await sweep()).toBe(0);
  clock.now += 29 * DAY;
  await withdrawRelease(access, id, BY);
  expect(await sweep()).toBe(0);
  expect(shelf.there.size).toBe(4);
  clock.now += DAY + 1;
  expect(await sweep()).toBe(1);
  expect(await removed()).toEqual([unnamed]);
  expect([...shelf.there]).toEqual([proposed, live, withdrawn]);
  clock.now += 30 * DAY;
  expect(await sweep()).toBe(1);
  expect([...shelf.there]).toEqual([proposed, live]);
  expect(await sweep()).toBe(0);
});

test('who is about to name a package keeps it; what goes can be named by nobody', async () => {
  const { access, clock, shelf, add, sweep } = await shelved();
  const sha256 = add();
  await sweep();
  clock.now += 31 * DAY;
  const content = packageOf({ sha256 });
  // In the middle of a look at it, which takes its time.
  const look = async () => {
    expect(await sweep()).toBe(0);
    return content;
  };
  const { id } = await proposeRelease(access, { sha256, look }, CI);
  await withdrawRelease(access, id, BY);
  await sweep();
  clock.now += 31 * DAY;
  shelf.fault = new Error('the store does not answer');
  await expect(sweep()).rejects.toThrow('does not answer');
  await expect(propose(access, content)).rejects.toMatchObject({ code: 'ERR_ACCESS_CONFLICT' });
  // The next sweep does what was left, also where the bytes have gone meanwhile.
  shelf.there.delete(sha256);
  expect(await sweep()).toBe(1);
  // Sent again it is a package as any other one.
  shelf.there.add(sha256);
  expect((await propose(access, content)).state).toBe('proposed');
});

test('a package that went while somebody looked at it is named by no release', async () => {
  const { access, shelf, add, sweep } = await shelved();
  const sha256 = add();
  const look = async () => {
    await access.store.transaction(({ tables }) =>
      tables.unnamedPackages.update({ where: { hash: sha256 } }, { removing: true }),
    );
    await sweep();
    return packageOf({ sha256 });
  };
  await expect(proposeRelease(access, { sha256, look }, CI)).rejects.toThrow('publish it again');
  expect(shelf.there.size).toBe(0);
});

test('a release of the version before is found by its package once a sweep has seen it', async () => {
  const { access, clock, shelf, sweep } = await shelved();
  const row = await published(access);
  shelf.there.add(row.package.sha256);
  const bare = { packageHash: null };
  await access.store.transaction(({ tables }) => tables.releases.update({ where: { id: row.id } }, bare));
  clock.now += 365 * DAY;
  expect(await sweep()).toBe(0);
  expect(shelf.there.size).toBe(1);
  const { id: installationId, userId } = await enrolled(access);
  const wanted = { sha256: row.package.sha256 };
  expect((await releaseForDevice(access, { installationId, userId }, wanted))?.id).toBe(row.id);
});

test('of an app 32 releases for a system are live at most: the oldest versions give way, the newcomer never', async () => {
  const { access } = await shelved();
  const live = async (): Promise<string[]> =>
    (await access.store.transaction(({ tables }) => tables.releases.list({ where: { state: 'live' } })))
      .map(({ package: { os, version } }: ReleaseRow) => `${os} ${version}`)
      .sort();
  await published(access, packageOf({ os: 'linux', version: '0.1' }));
  for (let i = 0; i < 33; i++) await published(access, packageOf({ version: `1.${i}` }));
  expect(await live()).toHaveLength(33);
  expect(await live()).not.toContain('android 1.0');
  await published(access, packageOf({ version: '0.9' }));
  expect(await live()).toContain('android 0.9');
  expect(await live()).not.toContain('android 1.1');
  expect(await live()).toContain('linux 0.1');
});
