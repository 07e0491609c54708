import { expect, test } from 'vitest';
import { findUser, issueCode } from '../../src/index.ts';
import { withAda } from '../ada.ts';
import { BY, scene } from '../scene.ts';

test('one realm knows nothing of another', async () => {
  const { store } = await withAda();
  const other = await scene('other', store);
  expect(await findUser(other.access, 'ada')).toBeUndefined();
  await expect(issueCode(other.access, 'ada', undefined, BY)).rejects.toMatchObject({ code: 'ERR_ACCESS_NOT_FOUND' });
});
