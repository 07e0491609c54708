import { expect, test } from 'vitest';
import { putUser, removeFactor, searchAudit } from '../../src/index.ts';
import { type Change, change } from '../../src/realm/change.ts';
import { BY, scene } from '../scene.ts';

type Step = (begun: Change) => unknown;

const write: Step = ({ tables, at }) => tables.groups.insert({ name: 'staff', createdAt: at });
const enter: Step = (begun) => begun.enter({ kind: 'rights', subject: '*' });
const removeNothing: Step = ({ tables }) => tables.groups.remove({ where: { name: 'nobody' } });

const unchanged: Step = (begun) => begun.unchanged();
const noted: Step = ({ notes, at }) => notes.tables.groups.insert({ name: 'staff', createdAt: at });
const said: Step = (begun) => begun.audit('group.create', 'staff');

const CHANGES: readonly [what: string, steps: readonly Step[], outcome: 'done' | 'refused'][] = [
  ['writes and says nothing', [write], 'refused'],
  ['says nothing', [], 'refused'],
  ['writes, and says that nothing was changed', [write, unchanged], 'refused'],
  ['says so first, and writes', [unchanged, write], 'refused'],
  ['revokes, and says that nothing was changed', [enter, unchanged], 'refused'],
  ['finds nothing to write, and says so', [removeNothing, unchanged], 'done'],
  ['writes a note and says nothing', [noted], 'refused'],
  ['writes a note, and says that nothing was changed', [noted, unchanged], 'done'],
  ['writes more than a note', [noted, enter, unchanged], 'refused'],
  ['writes a note beside more', [(begun) => Promise.all([noted(begun), enter(begun)]), unchanged], 'refused'],
  ['writes, and says what', [write, said], 'done'],
];

test.each(CHANGES)('a change that %s is %s', async (_, steps, outcome) => {
  const { access } = await scene();
  const changing = change(access, BY, async (begun) => {
    for (const step of steps) await step(begun);
  });
  if (outcome === 'done') return changing;
  await expect(changing).rejects.toThrow('a change without an audit event');
  expect(await access.store.transaction(({ tables }) => tables.groups.count())).toBe(0);
});

test('what was not there is not said to have been removed', async () => {
  const { access } = await scene();
  await putUser(access, 'ada', { password: 'pw' }, BY);
  const before = await searchAudit(access, { limit: 100 }, {});
  expect(await removeFactor(access, 'ada', { keepSessions: false }, BY)).toMatchObject({ removed: false });
  expect(await searchAudit(access, { limit: 100 }, {})).toEqual(before);
});
