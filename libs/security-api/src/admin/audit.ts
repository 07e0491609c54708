import Type, { type Static } from 'typebox';
import { CLOSED, Time } from '../fields.ts';
import { operations } from './operation.ts';
import { PageLimit } from './paging.ts';

/** An event of the audit log. */
export const AuditView = Type.Object(
  {
    seq: Type.Integer(),
    at: Time(),
    actor: Type.String(),
    action: Type.String(),
    subject: Type.String(),
    outcome: Type.String(),
    reason: Type.String(),
    hash: Type.String(),
  },
  { ...CLOSED, $id: 'AuditEvent' },
);
export type AuditView = Static<typeof AuditView>;

const Count = Type.String({ pattern: '^[0-9]{1,15}$', description: 'a number of up to 15 digits' });
const Wanted = Type.String({
  minLength: 1,
  maxLength: 512,
  pattern: '^[^\\u0000]*$',
  description: 'a text of up to 512 characters',
});

/** Which events: before or after an event by its number, and what must fit. Times in epoch ms. */
const AuditQuery = Type.Object(
  {
    before: Type.Optional(Count),
    after: Type.Optional(Count),
    limit: Type.Optional(PageLimit),
    since: Type.Optional(Count),
    until: Type.Optional(Count),
    actor: Type.Optional(Wanted),
    action: Type.Optional(Wanted),
    subject: Type.Optional(Wanted),
    outcome: Type.Optional(Type.Union([Type.Literal('done'), Type.Literal('refused')])),
  },
  CLOSED,
);

/** The audit log. */
export const audit = operations('audit', {
  list: {
    method: 'GET',
    path: '/v1/audit',
    about: 'Audit events: newest first, or oldest first after one',
    query: AuditQuery,
    answer: Type.Array(AuditView),
  },
});
