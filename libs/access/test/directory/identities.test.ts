import { expect, test } from 'vitest';
import { type BindOutcome, bindIdentity } from '../../src/identity/identities.ts';
import { putUser } from '../../src/index.ts';
import { directory, userOf } from '../corp.ts';
import { BY } from '../scene.ts';

test('an account is bound to one user of its directory, and a user to one account', async () => {
  const { access } = await directory('oidc');
  await putUser(access, 'ada', {}, BY);
  await putUser(access, 'bob', {}, BY);
  const bind = async (subject: string, name: string): Promise<BindOutcome> => {
    const user = (await userOf(access, name))!;
    return access.store.transaction((transaction) =>
      bindIdentity(transaction, { directory: 'corp', subject, login: name, user }),
    );
  };
  expect(await bind('s1', 'ada')).toBe('bound');
  expect(await bind('s1', 'ada')).toBe('known');
  expect(await bind('s1', 'bob')).toBe('taken');
  expect(await bind('s2', 'ada')).toBe('taken');
});
