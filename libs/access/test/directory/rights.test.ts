import { expect, test } from 'vitest';
import { explainRights, putGroup, putPolicy, putResource, putUser } from '../../src/index.ts';
import { BY, scene } from '../scene.ts';

test('rights say which policy and group open a resource, or which would', async () => {
  const { access } = await scene();
  for (const name of ['staff', 'hr']) await putGroup(access, name, BY);
  const backend = { url: 'http://10.0.0.1', networks: ['10.0.0.0/8'] };
  for (const name of ['wiki', 'pay', 'lost'])
    await putResource(access, name, { kind: 'http', authority: `${name}.corp`, backend }, BY);
  await putPolicy(
    access,
    'wiki-for-all',
    { groups: ['staff', 'hr'], resources: ['wiki'], context: {}, paths: ['/pages/'] },
    BY,
  );
  await putPolicy(access, 'pay-for-hr', { groups: ['hr'], resources: ['pay'], context: {} }, BY);
  await putUser(access, 'ada', { groups: ['staff'] }, BY);
  const { resources } = await explainRights(access, 'ada');
  expect(Object.fromEntries(resources.map(({ resource, allowed, words }) => [resource, [allowed, words]]))).toEqual({
    wiki: [true, 'wiki-for-all opens it for staff'],
    pay: [false, 'pay-for-hr would, for hr'],
    lost: [false, 'no policy opens it for anybody'],
  });
  expect(resources.find(({ resource }) => resource === 'wiki')!.policies[0]!.only).toBe('paths /pages/');
});
