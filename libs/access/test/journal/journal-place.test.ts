import { expect, test } from 'vitest';
import {
  EpochFence,
  fencedStore,
  getRealm,
  NO_JOURNAL,
  type NodeReport,
  recordNode,
  settleJournal,
} from '../../src/index.ts';
import { scene } from '../scene.ts';

/** Nodes of one database on a clock that runs while one of them waits; what the others do meanwhile is said by the test. */
async function farm() {
  const { access } = await scene();
  const clock = { mono: 0 };
  let meanwhile: () => Promise<unknown> = async () => undefined;
  const settle = (id: string, journal: string) =>
    settleJournal(access.store, {
      id,
      journal,
      description: 'in a folder',
      monotonicMs: () => clock.mono,
      async sleep(ms) {
        clock.mono += ms;
        await meanwhile();
      },
    });
  const beat = (id: string, journal: string) => {
    const url = 'https://n:1';
    const self: NodeReport = {
      id,
      journal,
      proxyUrl: url,
      adminUrl: url,
      version: '1',
      startedAt: 0,
      state: 'up',
      degraded: [],
      keyId: '',
      knownKeys: [],
    };
    return recordNode(access, self, () => 0);
  };
  const kept = async () => (await access.store.transaction((transaction) => getRealm(transaction))).journal;
  return {
    access,
    clock,
    settle,
    beat,
    kept,
    during: (work: () => Promise<unknown>) => {
      meanwhile = work;
    },
  };
}

test('the first node says which journal a database has; others with the same one start at once', async () => {
  const { settle, beat, kept, clock } = await farm();
  await settle('n1', 'one');
  await beat('n1', 'one');
  await settle('n2', 'one');
  await settle('n1', 'one');
  expect([await kept(), clock.mono]).toEqual(['one', 0]);
});

test.each([
  ['another journal', 'two', 'keeps its own in a folder'],
  ['no journal', NO_JOURNAL, 'this one has none'],
])('a node with %s does not start beside one that lives, and hears what to do', async (_what, journal, words) => {
  const { settle, beat, kept, during } = await farm();
  await settle('n1', 'one');
  await beat('n1', 'one');
  during(() => beat('n1', 'one'));
  const started = settle('n2', journal);
  await expect(started).rejects.toMatchObject({ code: 'ERR_JOURNAL_ELSEWHERE' });
  await expect(started).rejects.toThrow(words);
  await expect(started).rejects.toThrow('node n1');
  await expect(started).rejects.toThrow('SALLYPORT_JOURNAL');
  expect(await kept()).toBe('one');
});

test('where all others are dead another journal takes the place, as after a start of the machine', async () => {
  const { settle, beat, kept, clock } = await farm();
  await settle('n1', 'one');
  await beat('n1', 'one');
  await beat('n2', 'one');
  await settle('n1', 'two');
  expect(await kept()).toBe('two');
  // Not before n2 could have been seen to live.
  expect(clock.mono).toBeGreaterThanOrEqual(3_500);
});

test('a node that wakes after another journal took the place gives nothing any more', async () => {
  const { access, settle, beat } = await farm();
  await settle('n1', 'one');
  await beat('n1', 'one');
  const fence = new EpochFence();
  fence.pinJournal('one');
  const store = fencedStore(access.store, fence);
  const read = () => store.transaction((transaction) => getRealm(transaction));
  await read();
  await settle('n2', 'two');
  await expect(read()).rejects.toMatchObject({ code: 'ERR_STORE_FENCED' });
  expect(fence.refusal).toContain('another journal');
});
