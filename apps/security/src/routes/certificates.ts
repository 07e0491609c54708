import {
  type AccessContext,
  AccessError,
  auditOrder,
  beginKeyChange,
  changeResource,
  type LastingPurpose,
  listLastingKeys,
  listNodes,
} from '@sallyport/access';
import { certificates, type KeyChangeView } from '@sallyport/security-api/admin';
import type { FastifyInstance } from 'fastify';
import { certificatesOfRealm, type RegisteredCertificate } from '../farm/certificates.ts';
import type { SecurityNode } from '../farm/node.ts';
import type { ProxyLinks } from '../farm/proxy-links.ts';
import { nextKeyOf } from '../keys/keys.ts';
import type { LiveKeys } from '../keys/live-keys.ts';
import type { InForce } from '../revocation/in-force.ts';
import { pageOf } from './paging.ts';
import { serve } from './serve.ts';

/** What operations on certificates work with. */
export interface CertificateRoutes {
  readonly access: AccessContext;
  readonly node: Pick<SecurityNode, 'id' | 'nodes'>;
  readonly liveKeys: LiveKeys;
  readonly proxies: Pick<ProxyLinks, 'renew'>;
  readonly inForce: InForce;
  /** Renews what the listeners of this node show that is of our own CA. */
  readonly renewOwn: () => Promise<void>;
  readonly wallMs: () => number;
}

const BACKEND = /^backend\/(.+)$/;

/** Certificates: what there is, and what an operator does about them. */
export function addCertificateRoutes(service: FastifyInstance, routes: CertificateRoutes): void {
  const { access, inForce, wallMs } = routes;
  const all = (): Promise<RegisteredCertificate[]> => certificatesOfRealm(access, wallMs());
  const get = async (id: string): Promise<RegisteredCertificate> => {
    const found = (await all()).find((one) => one.id === id);
    if (!found) throw new AccessError('ERR_ACCESS_NOT_FOUND', `there is no certificate ${id}`);
    return found;
  };
  serve(service, certificates.list, async ({ query }) => {
    const { after, limit } = pageOf(query);
    return (await all())
      .filter(({ id }) => id > after)
      .slice(0, limit)
      .map(shown);
  });
  serve(service, certificates.get, async ({ params: { id } }) => get(id));
  serve(service, certificates.put, async ({ params: { id }, body, by }) => {
    const [, resource] = BACKEND.exec(id) ?? [];
    if (resource === undefined) throw notGiven(await get(id));
    await changeResource(access, resource, { backend: { clientCertificate: body } }, by);
    await inForce.ensureAll();
    return shown(await get(id));
  });
  serve(service, certificates.renew, async ({ params: { id }, by }) => {
    await renew(routes, await get(id));
    await auditOrder(access, { ...by, action: 'certificate.renew', subject: id });
    return { done: true };
  });
  serve(service, certificates.authorities, async () => ({
    authorities: routes.liveKeys.current.authorities.join('\n'),
  }));
  serve(service, certificates.rotate, async ({ params: { purpose }, by }) => {
    await checkNodes(routes);
    const { begun } = await beginKeyChange(access, purpose, { make: nextKeyOf(access, purpose), by });
    await routes.liveKeys.reread();
    return { ...(await changeOf(routes, purpose)), begun };
  });
  serve(service, certificates.change, async ({ params: { purpose } }) => changeOf(routes, purpose));
  serve(service, certificates.remove, async ({ params: { id }, by }) => {
    const found = await get(id);
    const [, resource] = BACKEND.exec(id) ?? [];
    if (resource === undefined) throw notTaken(found);
    await changeResource(access, resource, { backend: { clientCertificate: null } }, by);
    await inForce.ensureAll();
    return { done: true };
  });
}

function shown({ chain: _, ...view }: RegisteredCertificate): Omit<RegisteredCertificate, 'chain'> {
  return view;
}

/** A node that does not say which keys it works with is of a version that would use the next one before others know it. */
async function checkNodes({ access, node }: CertificateRoutes): Promise<void> {
  const silent = (await listNodes(access)).filter(
    ({ id, knownKeys }) => id !== node.id && node.nodes.awake({ id }) && knownKeys.length === 0,
  );
  if (silent.length === 0) return;
  const ids = silent.map(({ id }) => id).join(', ');
  throw conflict(`the nodes ${ids} do not say which keys they know: try again in some seconds, or update them first`);
}

/** Where the replacement of a key is. */
async function changeOf(
  { access, node, liveKeys }: CertificateRoutes,
  purpose: LastingPurpose,
): Promise<KeyChangeView> {
  const own = (await listLastingKeys(access)).filter((key) => key.purpose === purpose);
  const coming = own.find(({ state }) => state === 'coming');
  const used = own.find(({ state }) => state === 'in use');
  const old = own.find(({ state }) => state === 'trusted');
  const leadMs = liveKeys.times.leadMs[purpose];
  const lacking = coming
    ? (await listNodes(access)).filter(
        ({ id, knownKeys }) => (id === node.id || node.nodes.awake({ id })) && !knownKeys.includes(coming.id),
      )
    : [];
  return {
    begun: false,
    keys: own.map(({ id, state, createdAt, publishedAt }) => ({ id, state, createdAt, usedAt: publishedAt })),
    waitingFor: lacking.map(({ id }) => id),
    usesAt: coming && leadMs > 0 ? coming.createdAt + leadMs : null,
    retiresAt: old && used?.publishedAt ? used.publishedAt + liveKeys.times.overlapMs[purpose] : null,
  };
}

function conflict(words: string): AccessError {
  return new AccessError('ERR_ACCESS_CONFLICT', words);
}

async function renew({ node, proxies, renewOwn }: CertificateRoutes, found: RegisteredCertificate): Promise<void> {
  const { id, purpose, renewedBy } = found;
  if (renewedBy === 'files') throw conflict(`${id} lies in files: whoever writes them renews it, and it is taken over`);
  if (purpose === 'Proxy') {
    const [, name = ''] = id.split('/');
    if (proxies.renew(name)) return;
    throw conflict(`Proxy ${name} is not connected to this node: ask the one that "sallyport proxy list" names`);
  }
  if (purpose !== 'listener') throw conflict(`${id} is not renewed by itself: ${REMEDY[purpose]}`);
  if (!id.startsWith(`node/${node.id}/`)) throw conflict(`${id} is renewed by its own node: ask that one`);
  await renewOwn();
}

const REMEDY = {
  CA: 'it lasts ten years; replace it by "sallyport certificate rotate ca"',
  signing: 'it lasts ten years; replace it by "sallyport certificate rotate root" or "… rotate assertion"',
  'public listener': 'its Proxy orders the next one from its authority (ACME) when two thirds of its life are over',
  'backend client': 'give the next one, with --certificate and --key',
  'trusted CA': 'give the next one to the resource or directory that trusts it, with --ca',
} as const satisfies Partial<Record<RegisteredCertificate['purpose'], string>>;

function notGiven({ id, purpose, renewedBy }: RegisteredCertificate): AccessError {
  const why = renewedBy === 'files' ? 'lies in files, which are taken over' : `is of purpose "${purpose}"`;
  return conflict(`${id} ${why}: only backend/NAME, by which a backend knows the gateway, is given here`);
}

function notTaken({ id, purpose }: RegisteredCertificate): AccessError {
  const remedy =
    purpose === 'trusted CA'
      ? REMEDY[purpose]
      : 'it goes with its node (node remove), its Proxy (proxy revoke) or its files';
  return conflict(`${id} is in use: ${remedy}`);
}
