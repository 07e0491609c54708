import { listAudit, listSessions, revoke, untilInForce } from '@sallyport/access';
import { formatHex } from '@sallyport/channel';
import { AuditView, RevocationInput, RevocationView, SessionView } from '@sallyport/security-api';
import type { FastifyInstance } from 'fastify';
import Type, { type Static } from 'typebox';
import { waitingNode } from '../in-force.ts';
import type { RealmContext } from '../realm-context.ts';
import { IdParam, operation } from './operation.ts';
import { revocationView, WAIT_LIMIT } from './revoking.ts';

/** Sessions, revocations and the audit log. */
export function addSessionRoutes(service: FastifyInstance, context: RealmContext): void {
  const { access } = context;
  const Query = Type.Object({ all: Type.Optional(Type.Union([Type.Literal('true'), Type.Literal('false')])) });
  service.get<{ Querystring: Static<typeof Query> }>(
    '/v1/sessions',
    operation('sessions.list', 'Live sessions, or all', Type.Array(SessionView), { querystring: Query }),
    async ({ query }) => {
      const listed = await listSessions(access, query.all === 'true');
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
      return revocationView(context, { index: row.index, kind: row.kind, subject: row.subject, reason }, force);
    },
  );
  const AuditQuery = Type.Object({ limit: Type.Optional(Type.String({ pattern: '^[1-9][0-9]{0,2}$' })) });
  service.get<{ Querystring: Static<typeof AuditQuery> }>(
    '/v1/audit',
    operation('audit.list', 'Newest audit events', Type.Array(AuditView), { querystring: AuditQuery }),
    async ({ query }) =>
      (await access.store.transaction((transaction) => listAudit(transaction, Number(query.limit ?? 100)))).map(
        (row) => {
          const { seq, at, actor, action, subject, outcome, reason, hash } = row;
          return { seq, at, actor, action, subject, outcome, reason, hash: formatHex(hash) };
        },
      ),
  );
}
