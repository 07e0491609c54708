import {
  type AccessContext,
  AccessError,
  auditRefusal,
  type EscrowRow,
  endEscrow,
  fitsKeyring,
  listEscrows,
  noteEscrowProof,
} from '@sallyport/access';
import { checkEscrowReceipt, EscrowError } from '@sallyport/escrow';
import { ProblemError } from '@sallyport/http-service';
import { type EscrowView, escrows } from '@sallyport/security-api/admin';
import type { FastifyInstance } from 'fastify';
import { pageOf } from './paging.ts';
import { serve } from './serve.ts';

/** What operations on escrows work with. */
export interface EscrowRoutes {
  readonly access: AccessContext;
}

/** Sets of shares of the realm's keys. No share is ever here. */
export function addEscrowRoutes(service: FastifyInstance, { access }: EscrowRoutes): void {
  const viewOf = (row: EscrowRow): EscrowView => escrowView(row, fitsKeyring(row, access.keyring));
  serve(service, escrows.list, async ({ query }) => {
    const { after, limit } = pageOf(query);
    const rows = (await listEscrows(access)).filter(({ id }) => id > after);
    return rows
      .sort((a, b) => (a.id < b.id ? -1 : 1))
      .slice(0, limit)
      .map(viewOf);
  });
  serve(service, escrows.prove, async ({ body, by }) => {
    const row = (await listEscrows(access)).find(({ id }) => id === body.set);
    if (!row) throw new AccessError('ERR_ACCESS_NOT_FOUND', 'Security knows no escrow of this number');
    try {
      checkEscrowReceipt({ ...row, set: row.id }, body);
    } catch (error) {
      if (!(error instanceof EscrowError)) throw error;
      await auditRefusal(access, { ...by, action: 'escrow.check', subject: row.id });
      throw new ProblemError('ERR_ESCROW_RECEIPT', error.message);
    }
    const { set, officers, keks, at } = body;
    return viewOf(await noteEscrowProof(access, { set, officers, drill: keks !== undefined, at }, by));
  });
  serve(service, escrows.end, async ({ params: { set }, by }) => ({ done: await endEscrow(access, set, by) }));
}

function escrowView(row: EscrowRow, fits: boolean): EscrowView {
  const { id, threshold, officers, keks, createdAt, proofs, drilledAt, endedAt } = row;
  return {
    set: id,
    threshold,
    officers: officers.map(({ name }) => {
      const proof = proofs.find(({ officer }) => officer === name);
      return { name, ...(proof && { provenAt: proof.at }) };
    }),
    keks: keks.map((kek) => kek.id),
    fits,
    createdAt,
    ...(drilledAt === null ? {} : { drilledAt }),
    ...(endedAt === null ? {} : { endedAt }),
  };
}
