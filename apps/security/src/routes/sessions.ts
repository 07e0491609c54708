import {
  type AccessContext,
  listRevocations,
  listSessions,
  revoke,
  searchAudit,
  untilInForce,
} from '@sallyport/access';
import { formatHex } from '@sallyport/channel';
import { AuditView, RevocationInput, RevocationRowView, RevocationView, SessionView } from '@sallyport/security-api';
import type { FastifyInstance } from 'fastify';
import Type, { type Static } from 'typebox';
import { waitingNode } from '../farm/in-force.ts';
import type { RealmContext } from '../realm-context.ts';
import { IdParam, operation } from './operation.ts';
import { CursorQuery, pageOf } from './paging.ts';
import { revocationView, WAIT_LIMIT } from './revoking.ts';

const DEFAULT_EVENTS = 100;
const Count = Type.String({ pattern: '^[0-9]{1,15}$', description: 'a number of up to 15 digits' });
const Text = Type.String({
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
    limit: Type.Optional(
      Type.String({ pattern: '^([1-9][0-9]{0,2}|[1-4][0-9]{3}|5000)$', description: 'a number from 1 to 5000' }),
    ),
    since: Type.Optional(Count),
    until: Type.Optional(Count),
    actor: Type.Optional(Text),
    action: Type.Optional(Text),
    subject: Type.Optional(Text),
    outcome: Type.Optional(Type.Union([Type.Literal('done'), Type.Literal('refused')])),
  },
  { additionalProperties: false },
);
type AuditQuery = Static<typeof AuditQuery>;

function numberOf(text: string | undefined): number | undefined {
  return text === undefined ? undefined : Number(text);
}

/** Sessions, revocations and the audit log. */
export function addSessionRoutes(service: FastifyInstance, context: RealmContext): void {
  const { access } = context;
  const all = Type.Optional(Type.Union([Type.Literal('true'), Type.Literal('false')]));
  const Query = Type.Object({ ...CursorQuery.properties, all });
  service.get<{ Querystring: Static<typeof Query> }>(
    '/v1/sessions',
    operation(
      'sessions.list',
      'Live sessions, or all, in the order of their ids, a page of them',
      Type.Array(SessionView),
      { querystring: Query },
    ),
    async ({ query }) => {
      const listed = await listSessions(access, { ...pageOf(query), all: query.all === 'true' });
      const seen = await context.presence.find(listed.map(({ session }) => session.id));
      return listed.map(({ session, user }) => {
        const { id, app, createdAt, expiresAt, endedAt, endReason, installationId, chanNo } = session;
        return {
          id,
          user,
          installation: installationId,
          app,
          createdAt,
          expiresAt,
          endedAt,
          endReason,
          lastChannel: chanNo,
          seenAt: seen.get(id)?.at ?? null,
          proxy: seen.get(id)?.proxy ?? null,
        };
      });
    },
  );
  service.put<{ Params: IdParam; Body: RevocationInput }>(
    '/v1/revocations/:id',
    operation('revocations.put', 'Revoke; answers when it is in force, or for whom it waits', RevocationView, {
      params: IdParam,
      body: RevocationInput,
    }),
    async (request) => {
      const { kind, subject, reason } = request.body;
      const row = await revoke(
        access,
        { requestId: request.params.id, kind, subject },
        { actor: request.operator.operator.name, reason },
      );
      const force = await untilInForce(waitingNode(context), row, WAIT_LIMIT);
      const doubt = row.kind === 'app' ? await doubtOfApp(access, row.subject) : undefined;
      const view = revocationView(context, { index: row.index, kind: row.kind, subject: row.subject, reason }, force);
      return { ...view, ...(doubt === undefined ? {} : { doubt }) };
    },
  );
  const Listing = Type.Object({
    limit: Type.Optional(Type.String({ pattern: '^[1-9][0-9]{0,2}$', description: 'a number from 1 to 999' })),
    before: Type.Optional(Type.String({ pattern: '^[1-9][0-9]{0,14}$', description: 'a number from 1' })),
    all: Type.Optional(Type.Union([Type.Literal('true'), Type.Literal('false')])),
  });
  service.get<{ Querystring: Static<typeof Listing> }>(
    '/v1/revocations',
    operation('revocations.list', 'Newest revocations', Type.Array(RevocationRowView), { querystring: Listing }),
    async ({ query }) => {
      const older = query.before === undefined ? {} : { before: Number(query.before) };
      const rows = await listRevocations(access, {
        limit: Number(query.limit ?? 100),
        all: query.all === 'true',
        ...older,
      });
      return rows.map(({ index, kind, subject, reason, actor, at, lifted }) => {
        return { index, kind, subject, reason, actor, at, lifted };
      });
    },
  );
  service.get<{ Querystring: AuditQuery }>(
    '/v1/audit',
    operation('audit.list', 'Audit events: newest first, or oldest first after one', Type.Array(AuditView), {
      querystring: AuditQuery,
    }),
    async ({ query }) => {
      const { before, after, limit, since, until, ...fields } = query;
      const page = { before: numberOf(before), after: numberOf(after), limit: Number(limit ?? DEFAULT_EVENTS) };
      const times = { since: numberOf(since), until: numberOf(until) };
      return (await searchAudit(access, page, { ...fields, ...times })).map((row) => {
        const { seq, at, actor, action, subject, outcome, reason, hash } = row;
        return { seq, at, actor, action, subject, outcome, reason, hash: formatHex(hash) };
      });
    },
  );
}

/** A version that nobody ever had is perhaps a slip of the pen: it is revoked, and the one that was meant is not. */
async function doubtOfApp({ store }: AccessContext, app: string): Promise<string | undefined> {
  const known = await store.transaction(async ({ tables }) => {
    const of = { where: { app } } as const;
    return (await tables.installations.count(of)) + (await tables.sessions.count(of));
  });
  return known > 0 ? undefined : `no installation and no session ever had ${app}: is the version right?`;
}
