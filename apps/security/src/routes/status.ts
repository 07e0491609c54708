import { AccessError, forgetSafeguard, listNodes, noteArchiveProof, removeNode } from '@sallyport/access';
import { nodes, safeguards, status } from '@sallyport/security-api/admin';
import type { FastifyInstance } from 'fastify';
import { nodeView, type StatusParts, statusOf } from '../farm/status.ts';
import { pageOf } from './paging.ts';
import { serve } from './serve.ts';

/** What runs, and the Security nodes. */
export function addStatusRoutes(service: FastifyInstance, parts: StatusParts): void {
  const { access, node } = parts;
  serve(service, status.get, async () => statusOf(parts));
  serve(service, nodes.list, async ({ query }) => {
    const { after, limit } = pageOf(query);
    // They are few, and all are looked at to know which live.
    const rows = await listNodes(access);
    node.nodes.observe(rows);
    // A database may order texts in its own way.
    const sorted = rows.filter(({ id }) => id > after).sort((a, b) => (a.id < b.id ? -1 : 1));
    return sorted.slice(0, limit).map((row) => nodeView(node, row));
  });
  serve(service, safeguards.prove, async ({ body, by }) => {
    const { realm, epoch, log, audit } = body;
    if (realm !== access.store.realm)
      throw new AccessError('ERR_ACCESS_INVALID', 'what was restored is of another realm');
    await noteArchiveProof(access, { epoch, log, audit }, by);
    return { done: true };
  });
  serve(service, safeguards.forget, async ({ params, by }) => ({ done: await forgetSafeguard(access, params, by) }));
  serve(service, nodes.remove, async ({ params: { id }, by }) => ({ done: await removeNode(access, id, by) }));
}
