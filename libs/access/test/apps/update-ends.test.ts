import { signUpdate } from '@sallyport/channel';
import { expect, test } from 'vitest';
import { putRoot, updateEnds, updateWords } from '../../src/index.ts';
import { BY, scene } from '../scene.ts';
import { DAY, draft, online, published, rootText, sign, TIM, withReleases } from './release-scene.ts';

test('without updates there is nothing to tell of', async () => {
  const { access, clock } = await scene();
  expect(await updateEnds(access)).toBeUndefined();
  expect(updateWords(undefined, clock.now)).toEqual([]);
});

test('what only persons can sign anew is told of 30 days before it ends, and after, with what to do', async () => {
  const { access, clock } = await scene();
  await withReleases(access, clock.now);
  const words = async (): Promise<string[]> => updateWords(await updateEnds(access), clock.now);
  expect(await updateEnds(access)).toMatchObject({
    root: { version: 1, endsAt: clock.now + 365 * DAY },
    targets: null,
  });
  await published(access);
  expect((await updateEnds(access))?.targets).toEqual({ version: 1, endsAt: clock.now + 180 * DAY });
  expect(await words()).toEqual([]);
  clock.now += 150 * DAY;
  expect(await words()).toEqual([
    expect.stringMatching(/the list of releases \(targets 1\) ends at .*, in 30 days.*: sign any release once more/),
  ]);
  clock.now += 30 * DAY;
  expect(await words()).toEqual([expect.stringMatching(/the list of releases \(targets 1\) is over since/)]);
  clock.now += 160 * DAY;
  expect(await words()).toEqual([
    expect.stringMatching(/the root of updates \(1\) ends at .*, in 25 days.*app root make/),
    expect.stringContaining('is over since'),
  ]);
});

test('a new root and a signature are all that is needed', async () => {
  const { access, clock } = await scene();
  await withReleases(access, clock.now);
  const release = await published(access);
  clock.now += 360 * DAY;
  await putRoot(access, rootText(clock.now, 1, { version: 2 }), online, BY);
  await sign(access, release, signUpdate(await draft(access, release), TIM));
  expect(updateWords(await updateEnds(access), clock.now)).toEqual([]);
});
