import {
  type AccessContext,
  createKeyring,
  ensureRealm,
  issueJoinToken,
  putSite,
  type RealmStore,
  redeemJoinToken,
  type SessionRow,
} from '@sallyport/access';
import { nodeCrypto } from '@sallyport/channel/node';
import { registerSample } from '../../../libs/access/test/sample-app.ts';
import { sampleSession } from '../../../libs/access/test/sample-session.ts';
import { LEASE_MS } from './node.ts';

/** Whoever revokes in the simulation. */
export const BY = { actor: 'officer', reason: 'simulation' };
export const PROXIES = ['p1', 'p2', 'p3'];
export const SIDS = ['a', 'b', 'c'].map((letter) => letter.repeat(32));

/** The app that a session was opened by. Its last one stands for a right: who has another app in its grant has it no more. */
export function appOf(sid: string): string {
  return `app@${sid[0]}`;
}

/** The rules on a store, with keys that need not be secret. */
export function accessOn(store: RealmStore): AccessContext {
  const crypto = nodeCrypto();
  const keyring = createKeyring(crypto, new Map([[1, new Uint8Array(32).fill(1)]]), 1);
  const passwords = { hash: async (text: string) => text, verify: async () => false };
  return { store, crypto, keyring, passwords };
}

/** A realm with Proxies that have joined, and a user with three sessions, each of an app of its own. */
export async function prepare(access: AccessContext): Promise<void> {
  await ensureRealm(access, LEASE_MS);
  await registerSample(access.store, 'app');
  await putSite(access, { name: 'here', origins: [] }, BY);
  for (const name of PROXIES) {
    await redeemJoinToken(access, await issueJoinToken(access, { name, site: 'here' }, BY), name);
  }
  await access.store.transaction(async ({ tables }) => {
    const createdAt = 1;
    const user = {
      id: 'u',
      name: 'ada',
      displayName: 'Ada',
      passwordHash: null,
      enabled: true,
      outByOperator: false,
      outByDirectory: false,
      pastAccount: '',
      directory: '',
      createdAt,
    };
    await tables.users.insert(user);
    const key = new Uint8Array(32);
    await tables.installations.insert({
      id: 'i',
      userId: 'u',
      deviceStatic: key,
      signingKey: {},
      status: 'active',
      generation: 0,
      currentKey: key,
      nextKey: null,
      previousKey: null,
      rotatedAt: createdAt,
      app: 'app@1',
      model: 'm',
      createdAt,
      lastSeenAt: null,
      resumeId: null,
    });
    for (const id of SIDS) await tables.sessions.insert(sessionOf(id));
  });
}

function sessionOf(id: string): SessionRow {
  const always = { secret: new Uint8Array(32), createdAt: 1, expiresAt: 4_000_000_000_000 };
  return sampleSession(id, { ...always, app: appOf(id) });
}
