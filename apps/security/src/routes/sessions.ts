import {
  type AccessContext,
  appIdOf,
  blockedWords,
  isAppKnown,
  listRevocations,
  listSessions,
  type Presence,
  revoke,
  searchAudit,
} from '@sallyport/access';
import { formatHex } from '@sallyport/channel';
import type { RevocationKind } from '@sallyport/security-api';
import { audit, revocations, sessions } from '@sallyport/security-api/admin';
import type { FastifyInstance } from 'fastify';
import type { InForce } from '../revocation/in-force.ts';
import { pageOf } from './paging.ts';
import { revocationView } from './revoking.ts';
import { serve, toReason } from './serve.ts';

const DEFAULT_EVENTS = 100;

/** What operations on sessions, revocations and the audit log work with. */
export interface SessionRoutes {
  readonly access: AccessContext;
  readonly inForce: InForce;
  readonly presence: Pick<Presence, 'find'>;
  readonly wallMs: () => number;
}

function numberOf(text: string | undefined): number | undefined {
  return text === undefined ? undefined : Number(text);
}

/** Sessions, revocations and the audit log. */
export function addSessionRoutes(service: FastifyInstance, routes: SessionRoutes): void {
  addSessions(service, routes);
  addRevocations(service, routes);
  addAudit(service, routes);
}

function addSessions(service: FastifyInstance, { access, presence }: SessionRoutes): void {
  serve(service, sessions.list, async ({ query }) => {
    const listed = await listSessions(access, { ...pageOf(query), all: query.all === 'true' });
    const seen = await presence.find(listed.map(({ session }) => session.id));
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
  });
}

function addRevocations(service: FastifyInstance, { access, inForce, wallMs }: SessionRoutes): void {
  serve(service, revocations.put, async ({ params: { id: requestId }, body, operator }) => {
    const by = { actor: operator.operator.name, reason: toReason(body.reason) };
    const row = await revoke(access, { requestId, kind: body.kind, subject: body.subject }, by);
    const waited = await inForce.wait(row);
    const doubt = await doubtOf(access, row);
    const entry = { index: row.index, kind: row.kind, subject: row.subject, reason: by.reason };
    return { ...revocationView(wallMs(), entry, waited), ...(doubt === undefined ? {} : { doubt }) };
  });
  serve(service, revocations.list, async ({ query }) => {
    const older = query.before === undefined ? {} : { before: Number(query.before) };
    const wanted = { limit: Number(query.limit ?? 100), all: query.all === 'true', ...older };
    return (await listRevocations(access, wanted)).map(({ index, kind, subject, reason, actor, at, lifted }) => {
      return { index, kind, subject, reason, actor, at, lifted };
    });
  });
}

function addAudit(service: FastifyInstance, { access }: SessionRoutes): void {
  serve(service, audit.list, async ({ query }) => {
    const { before, after, limit, since, until, ...fields } = query;
    const page = { before: numberOf(before), after: numberOf(after), limit: Number(limit ?? DEFAULT_EVENTS) };
    const times = { since: numberOf(since), until: numberOf(until) };
    return (await searchAudit(access, page, { ...fields, ...times })).map((row) => {
      const { seq, at, actor, action, subject, outcome, reason, hash } = row;
      return { seq, at, actor, action, subject, outcome, reason, hash: formatHex(hash) };
    });
  });
}

/** What of a revoked version of an app, or a lifted one, is perhaps not what was meant. */
async function doubtOf(
  access: AccessContext,
  { kind, subject }: { readonly kind: RevocationKind; readonly subject: string },
): Promise<string | undefined> {
  if (kind !== 'app' && kind !== 'lift') return undefined;
  const slip = kind === 'app' ? await slipOfPen(access, subject) : undefined;
  const more = await blockedWords(access, appIdOf(subject));
  return [slip, more].filter((words) => words !== undefined).join('; ') || undefined;
}

/** A version that nobody ever had is perhaps one: it is revoked, and the one that was meant is not. */
async function slipOfPen(access: AccessContext, app: string): Promise<string | undefined> {
  if (await isAppKnown(access, app)) return undefined;
  return `no installation and no session ever had ${app}: is the version right?`;
}
