import { putDirectory } from '@sallyport/access';
import { expect, test, vi } from 'vitest';
import { OpenProviders } from '../../src/directories/open-providers.ts';
import { scene } from '../scene.ts';

const PROVIDER = { issuer: 'https://idp', clientId: 'gateway', redirects: ['app:back'] };
const BY = { actor: 'olga', reason: 'test' };

test('rows are kept for a second, but whoever has changed a provider is answered by it at once', async () => {
  const { context, clock } = await scene();
  const { access, bus } = context;
  const put = (acr: string) =>
    putDirectory(access, 'idp', { kind: 'oidc', stage: 'active', settings: { ...PROVIDER, acr: [acr] } }, BY);
  await put('low');
  const providers = new OpenProviders(context);
  const acr = async (): Promise<unknown> => {
    const row = (await providers.find('idp'))!;
    return row.kind === 'oidc' && row.settings.acr?.[0];
  };
  expect(await acr()).toBe('low');
  const transactions = vi.spyOn(access.store, 'transaction');
  for (let i = 0; i < 50; i++) await acr();
  expect(transactions).not.toHaveBeenCalled();
  transactions.mockRestore();
  await put('high');
  bus.publish('entries');
  expect(await acr()).toBe('high');
  // On another node, which a lost message does not reach, a second later.
  await put('highest');
  expect(await acr()).toBe('high');
  clock.now += 1_000;
  expect(await acr()).toBe('highest');
});
