import Type, { type Static } from 'typebox';
import { CLOSED, Time } from '../fields.ts';
import { operations } from './operation.ts';
import { SubjectQuery } from './paging.ts';
import { Done } from './params.ts';

const MAX_OFFICERS = 32;
const SetId = Type.String({ pattern: '^[0-9a-f]{16}$', description: '16 hex digits' });
const Signature = Type.String({ pattern: '^[A-Za-z0-9_-]{86}$', description: '86 characters of base64url' });
const OfficerName = Type.String({ minLength: 1, maxLength: 64 });

/** A set of shares, without any share. */
export const EscrowView = Type.Object(
  {
    set: Type.String(),
    threshold: Type.Integer({ description: 'how many officers it takes' }),
    officers: Type.Array(
      Type.Object({ name: Type.String(), provenAt: Type.Optional(Time('when their share last opened')) }, CLOSED),
    ),
    keks: Type.Array(Type.Integer(), { description: 'key-encryption keys that it gives back' }),
    fits: Type.Boolean({ description: 'whether the key that wraps now is among them, and the set counts' }),
    createdAt: Time(),
    drilledAt: Type.Optional(Time('when enough officers last opened it together, and the keys were right')),
    endedAt: Type.Optional(Time('since when it counts no more')),
  },
  { ...CLOSED, $id: 'Escrow' },
);
export type EscrowView = Static<typeof EscrowView>;

/** What officers prove: that a share opens, or that enough of them give back the keys. It tells nothing of either. */
const EscrowReceiptBody = Type.Object(
  {
    set: SetId,
    at: Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER, description: 'epoch ms' }),
    officers: Type.Array(OfficerName, { minItems: 1, maxItems: MAX_OFFICERS }),
    keks: Type.Optional(
      Type.Array(
        Type.Object(
          {
            id: Type.Integer({ minimum: 1, maximum: 999_999_999 }),
            check: Type.String({ pattern: '^[0-9a-f]{32}$', description: '32 hex digits' }),
          },
          CLOSED,
        ),
        { maxItems: 1_000, description: 'of a drill: the keys that came out' },
      ),
    ),
    signature: Signature,
    shares: Type.Optional(
      Type.Array(Signature, { maxItems: MAX_OFFICERS, description: 'of a drill: by the share of each officer' }),
    ),
  },
  { ...CLOSED, $id: 'EscrowReceipt' },
);

/** Escrows of the realm's keys. */
export const escrows = operations('escrows', {
  list: {
    method: 'GET',
    path: '/v1/escrows',
    about: 'Sets of shares of the realm keys, a page: who has one, and who proved that it opens',
    cursor: 'set',
    query: SubjectQuery,
    answer: Type.Array(EscrowView),
  },
  prove: {
    method: 'POST',
    path: '/v1/escrows/receipts',
    about: 'Put a receipt of an officer, or of a drill, on record',
    reason: true,
    body: EscrowReceiptBody,
    answer: EscrowView,
    errors: ['ERR_ACCESS_NOT_FOUND', 'ERR_ACCESS_INVALID', 'ERR_ESCROW_RECEIPT'],
  },
  end: {
    method: 'DELETE',
    path: '/v1/escrows/:set',
    about: 'End a set of shares: it counts no more, and its shares are to be destroyed',
    reason: true,
    params: Type.Object({ set: SetId }, CLOSED),
    answer: Done,
    errors: ['ERR_ACCESS_NOT_FOUND'],
  },
});
