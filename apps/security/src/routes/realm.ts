import { type AccessContext, changeSettings, readRealm, replaceHandshakeKeys, settingsOf } from '@sallyport/access';
import type { RealmSettings } from '@sallyport/security-api';
import { realm } from '@sallyport/security-api/admin';
import type { FastifyInstance } from 'fastify';
import type { LiveKeys } from '../keys/live-keys.ts';
import type { InForce } from '../revocation/in-force.ts';
import { serve } from './serve.ts';

/** What operations on the realm work with. */
export interface RealmRoutes {
  readonly access: AccessContext;
  readonly inForce: InForce;
  readonly liveKeys: Pick<LiveKeys, 'current' | 'reread'>;
}

/** Settings of the realm, and its handshake keys. */
export function addRealmRoutes(service: FastifyInstance, { access, inForce, liveKeys }: RealmRoutes): void {
  serve(service, realm.get, async () => settingsOf(await readRealm(access.store)));
  serve(service, realm.change, async ({ body, by }) => {
    const settings = await changeSettings(access, body as Partial<RealmSettings>, by);
    await inForce.ensureAll();
    return settings;
  });
  serve(service, realm.rekey, async ({ by }) => {
    const revoked = await replaceHandshakeKeys(access, by);
    await liveKeys.reread();
    return { kid: liveKeys.current.newestKid, revoked };
  });
}
