import { encodeText } from '@sallyport/channel';
import { change } from '../realm/change.ts';
import type { AccessContext, Actor } from '../realm/context.ts';
import { isOurToken, makeToken } from '../realm/tokens.ts';
import { AccessError } from '../store/errors.ts';
import type { ListPage } from '../store/pages.ts';
import type { PublisherRow } from './rows.ts';

/** Makes a credential for a pipeline, or another one in place of that which it has: good for publishing only. */
export async function issuePublisher(
  access: AccessContext,
  name: string,
  by: Actor,
): Promise<{ readonly name: string; readonly token: string }> {
  const token = makeToken(access, 'spp');
  const tokenHash = access.crypto.sha256(encodeText(token));
  await change(access, by, async (begun) => {
    const { publishers } = begun.tables;
    if (await publishers.find({ name }, 'update'))
      await publishers.update({ where: { name } }, { tokenHash, createdAt: begun.at, endedAt: null });
    else await publishers.insert({ name, tokenHash, createdAt: begun.at, endedAt: null });
    begun.audit('publisher.issue', name);
  });
  return { name, token };
}

/** Ends a pipeline's credential at once. @throws AccessError ERR_ACCESS_NOT_FOUND */
export async function endPublisher(access: AccessContext, name: string, by: Actor): Promise<void> {
  await change(access, by, async (begun) => {
    const ended = await begun.tables.publishers.update({ where: { name, endedAt: null } }, { endedAt: begun.at });
    if (ended === 0) throw new AccessError('ERR_ACCESS_NOT_FOUND', `no publisher ${name}`);
    begun.audit('publisher.end', name);
  });
}

/** Whose credential a token is; undefined for one that is not good. */
export async function findPublisher(access: AccessContext, token: string): Promise<PublisherRow | undefined> {
  if (!isOurToken(access, 'spp', token)) return undefined;
  const tokenHash = access.crypto.sha256(encodeText(token));
  const row = await access.store.transaction(({ tables }) => tables.publishers.find({ tokenHash }));
  return row?.endedAt === null ? row : undefined;
}

/** A page of pipelines by name. */
export function listPublishers({ store }: AccessContext, { after, limit }: ListPage): Promise<readonly PublisherRow[]> {
  return store.transaction(({ tables }) => tables.publishers.list({ above: ['name', after], limit }));
}
