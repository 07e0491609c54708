import { type AccessContext, AccessError, changeResource } from '@sallyport/access';
import { certificates } from '@sallyport/security-api/admin';
import type { FastifyInstance } from 'fastify';
import { certificatesOfRealm, type RegisteredCertificate } from '../farm/certificates.ts';
import type { SecurityNode } from '../farm/node.ts';
import type { ProxyLinks } from '../farm/proxy-links.ts';
import type { InForce } from '../revocation/in-force.ts';
import { pageOf } from './paging.ts';
import { serve } from './serve.ts';

/** What operations on certificates work with. */
export interface CertificateRoutes {
  readonly access: AccessContext;
  readonly node: Pick<SecurityNode, 'id'>;
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
  serve(service, certificates.renew, async ({ params: { id } }) => {
    await renew(routes, await get(id));
    return { done: true };
  });
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
  CA: 'there is no command yet that replaces it; it lasts ten years',
  signing: 'there is no command yet that replaces it',
  'public listener': 'its files are taken over',
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
