import {
  type AccessContext,
  changePolicy,
  listPolicies,
  type PolicyRow,
  putPolicy,
  removeRight,
} from '@sallyport/access';
import { type GivenAnswerOf, policies } from '@sallyport/security-api/admin';
import type { FastifyInstance } from 'fastify';
import type { InForce } from '../revocation/in-force.ts';
import { pageOf } from './paging.ts';
import { serve } from './serve.ts';

/** What operations on policies work with. */
export interface PolicyRoutes {
  readonly access: AccessContext;
  readonly inForce: InForce;
}

function policyView({ name, groups, resources, rule, place }: PolicyRow): GivenAnswerOf<typeof policies.put> {
  return { name, groups, resources, ...rule, context: rule.context ?? {}, ...place };
}

/** Policies. */
export function addPolicyRoutes(service: FastifyInstance, { access, inForce }: PolicyRoutes): void {
  serve(service, policies.list, async ({ query }) => (await listPolicies(access, pageOf(query))).map(policyView));
  serve(service, policies.put, async ({ params: { name }, body, by, onlyNew }) => {
    const row = await putPolicy(access, name, body, by, { onlyNew });
    await inForce.ensureAll();
    return policyView(row);
  });
  serve(service, policies.change, async ({ params: { name }, body, by }) => {
    const row = await changePolicy(access, name, body, by);
    await inForce.ensureAll();
    return policyView(row);
  });
  serve(service, policies.remove, async ({ params: { name }, by }) => {
    const done = await removeRight(access, 'policies', name, by);
    await inForce.ensureAll();
    return { done };
  });
}
