import { type AccessContext, AccessError, beginKekTurn, forgetKek } from '@sallyport/access';
import { type KekStatus, keks } from '@sallyport/security-api/admin';
import type { FastifyInstance } from 'fastify';
import type { KeyTurns, SeenKeks } from '../farm/key-turns.ts';
import { serve } from './serve.ts';

/** What operations on key-encryption keys work with. */
export interface KekRoutes {
  readonly access: AccessContext;
  readonly keyTurns: KeyTurns;
}

/** Key-encryption keys: who has which, and their turn. */
export function addKekRoutes(service: FastifyInstance, { access, keyTurns }: KekRoutes): void {
  const show = async (): Promise<KekStatus> => statusOf(await keyTurns.see(), keyTurns.awake, access.keyring.current);
  serve(service, keks.show, show);
  serve(service, keks.rotate, async ({ body, by }) => {
    const { without = [] } = body;
    const { nodes } = await keyTurns.see();
    for (const node of without) checkLeftOut(node, nodes, keyTurns.awake);
    await beginKekTurn(access, by, { without });
    return show();
  });
  serve(service, keks.forget, async ({ params: { kek }, by }) => {
    await forgetKek(access, Number(kek), by);
    return { done: true };
  });
}

function checkLeftOut(node: string, nodes: readonly string[], awake: (node: string) => boolean): void {
  if (!nodes.includes(node))
    throw new AccessError('ERR_ACCESS_INVALID', 'there is no node of a name that is to be left out');
  if (awake(node))
    throw new AccessError('ERR_ACCESS_INVALID', 'a node that is up is not left out: it takes the key by itself');
}

/** What operators see of the keys. */
function statusOf(
  { keks: rows, turn, waits, holders, nodes }: SeenKeks,
  awake: (id: string) => boolean,
  current: number,
): KekStatus {
  const stateOf = ({ id, retiredAt, forgotten }: SeenKeks['keks'][number]): KekStatus['keks'][number]['state'] => {
    if (id === current) return 'current';
    if (retiredAt !== null) return forgotten ? 'forgotten' : 'retired';
    return turn?.state === 'spreading' && turn.kek === id ? 'coming' : 'in use';
  };
  return {
    keks: rows.map((row) => ({
      id: row.id,
      state: stateOf(row),
      ...(row.createdAt === null ? {} : { createdAt: row.createdAt }),
      ...(row.retiredAt === null ? {} : { retiredAt: row.retiredAt }),
    })),
    ...(turn && { turn: turnView(turn, waits) }),
    nodes: [...nodes].sort().map((id) => {
      const holder = holders.find(({ node }) => node === id);
      return { id, awake: awake(id), current: holder?.current ?? 0, keks: [...(holder?.keks ?? [])] };
    }),
  };
}

function turnView(turn: NonNullable<SeenKeks['turn']>, waits: SeenKeks['waits']): NonNullable<KekStatus['turn']> {
  const { kek, state, actor, reason, startedAt, changedAt, without, renewed, forged } = turn;
  const waitingFor = waits.map(({ node, why }) => ({ node, why }));
  return { kek, state, actor, reason, startedAt, changedAt, without: [...without], renewed, forged, waitingFor };
}
