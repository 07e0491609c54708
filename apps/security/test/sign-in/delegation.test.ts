import type { DirectoryRow } from '@sallyport/access';
import { putResource } from '@sallyport/access';
import { createLog } from '@sallyport/telemetry';
import { expect, test } from 'vitest';
import type { Connectors } from '../../src/directories/connectors.ts';
import { delegatedTokens } from '../../src/sign-in/delegation.ts';
import { scene } from '../scene.ts';

const BY = { actor: 'olga', reason: 'unit test' };
const CORP = { name: 'corp' } as DirectoryRow;

/** Resources whose backends want tokens of a provider that gives one of so many characters for each. */
async function provider(characters: Readonly<Record<string, number>>) {
  const { context } = await scene();
  for (const name of Object.keys(characters)) {
    const delegate = { directory: 'corp', audience: name };
    const backend = { url: 'http://127.0.0.1:1', networks: [], delegate };
    await putResource(context.access, name, { kind: 'http', authority: `${name}.corp`, backend }, BY);
  }
  const lines: string[] = [];
  const log = createLog('security', 'warn', { write: (line: string) => void lines.push(line) });
  const exchange = async (_token: string, audience: string) => ({
    token: 't'.repeat(characters[audience]!),
    expiresInMs: 1,
  });
  const connectors = { oidc: () => ({ exchange }) } as unknown as Connectors;
  const given = await delegatedTokens({ access: context.access, connectors, log, wallMs: () => 0 }, CORP, 'access');
  return { given: given && (JSON.parse(given) as { resource: string }[]).map(({ resource }) => resource), lines };
}

test('a token that is longer than a grant may carry is none: the backend is opened without, and the log says why', async () => {
  const { given, lines } = await provider({ short: 16_384, long: 16_385 });
  expect(given).toEqual(['short']);
  expect(lines).toHaveLength(1);
  expect(lines[0]).toContain('it has 16385 characters, more than 16384');
  expect(lines[0]).not.toContain('ttt');
});

test('where no backend wants a token nobody is asked', async () => {
  expect((await provider({})).given).toBeUndefined();
});
