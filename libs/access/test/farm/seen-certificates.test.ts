import { selfSigned } from '@sallyport/support';
import { expect, test } from 'vitest';
import { issueJoinToken, listCertificates, recordCertificates, redeemJoinToken } from '../../src/index.ts';
import { BY, scene } from '../scene.ts';

test('of what a Proxy shows the certificates are kept, and no key that it told with them', async () => {
  const { access } = await scene();
  await redeemJoinToken(access, await issueJoinToken(access, { name: 'p1', site: 'here' }, BY), 'a'.repeat(64));
  const { certificate, key } = selfSigned('gate.example');
  const shown = { place: 'public', renewedBy: 'files', trouble: null } as const;
  const told = [{ ...shown, chain: `${certificate}${key}` }];
  for (const _ of [1, 2]) await recordCertificates(access, { kind: 'proxy', name: 'p1' }, told);
  expect(await listCertificates(access)).toMatchObject([{ certificates: [{ chain: certificate }] }]);
});
