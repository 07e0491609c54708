import { parseKeepRule } from '@sallyport/backup';
import { expect, test } from 'vitest';
import { LyingTarget } from '../../../../libs/backup/test/lying-target.ts';
import { SOME_KEYS, sealedExport } from '../../../../libs/backup/test/sealed-export.ts';
import { type TargetTask, workAtTarget } from '../../src/backup/target-work.ts';

const [HOUR, NOW] = [3_600_000, Date.UTC(2026, 10, 26, 12)];

/** A target with exports of the last days, and what is to be done there at noon. */
async function scene() {
  const target = new LyingTarget();
  const done = async (at: number, more: Partial<TargetTask> = {}) =>
    workAtTarget({
      ...{ realm: 'main', open: async () => target, keys: SOME_KEYS, recipients: [], rule: parseKeepRule('all 1d') },
      seal: () => sealedExport(at),
      ...{ expected: undefined, wallMs: () => at, alive: () => undefined },
      ...more,
    });
  for (const hours of [50, 49, 30, 2]) await done(NOW - hours * HOUR);
  return { target, done };
}

const manifests = (target: LyingTarget): string[] =>
  [...target.objects.keys()].filter((path) => path.endsWith('/manifest.json')).sort();

test('ended at any step of an export and of pruning, the next try finishes', async () => {
  const { target: whole, done } = await scene();
  const steps: string[] = [];
  whole.before = (work, path) => void steps.push(`${work} ${path}`);
  expect((await done(NOW)).trouble).toBeUndefined();
  expect(steps.filter((step) => step.startsWith('put'))).toHaveLength(3);
  const left = manifests(whole).length;
  for (let at = 0; at < steps.length; at++) {
    const { target, done: again } = await scene();
    let step = 0;
    // As if the process were gone: nothing that it does from here on arrives.
    target.before = () => {
      if (step++ >= at) throw new Error('ended');
    };
    const broken = await again(NOW);
    expect(broken.trouble?.code).toBe('ERR_BACKUP_BROKEN_OFF');
    target.before = () => undefined;
    const found = await again(NOW + 60_000);
    expect(found.trouble).toBeUndefined();
    expect(manifests(target).at(-1)).toContain(found.exported!.name);
    // The one that was broken off behind its manifest is an export, any other is none.
    expect(manifests(target).length - left).toBe(step > 2 && at > 2 ? 1 : 0);
  }
});

test('a target that is full is pruned all the same, and takes the next one', async () => {
  const { target, done } = await scene();
  const before = manifests(target).length;
  target.before = (work) => {
    if (work === 'put') throw Object.assign(new Error('no room'), { code: 'ERR_TARGET_FULL' });
  };
  const found = await done(NOW);
  expect(found.trouble).toEqual({ code: 'ERR_TARGET_FULL', words: 'no room' });
  expect(found.exported).toBeUndefined();
  expect(manifests(target).length).toBeLessThanOrEqual(before);
});

test('a target that has lost what it had taken is named at the next look', async () => {
  const { target, done } = await scene();
  const { exported } = await done(NOW);
  for (const path of manifests(target)) if (path.includes(exported!.name)) target.objects.delete(path);
  const { trouble } = await done(NOW + 1, { seal: undefined, expected: exported!.name });
  expect(trouble?.code).toBe('ERR_TARGET_DAMAGED');
});

test('what is no error of ours says its kind only: nobody knows what is in its words', async () => {
  const { done } = await scene();
  const open = async () => {
    throw new Error('password hunter2');
  };
  expect(JSON.stringify(await done(NOW, { open }))).not.toContain('hunter2');
});
