import Type, { type Static } from 'typebox';
import { CLOSED, Name, OptionalText, OptionalTime, Time } from '../fields.ts';
import { operations } from './operation.ts';
import { CursorQuery } from './paging.ts';
import { Origin } from './sites.ts';

/** For whom an activation code is, and for how long; a device that enrols with it dials only what is pinned, if anything is. */
const CodeInput = Type.Object(
  {
    user: Name(),
    ttlMs: Type.Optional(Type.Integer({ minimum: 60_000, maximum: 30 * 86_400_000 })),
    pinSite: Type.Optional(Name()),
    pinOrigin: Type.Optional(Origin),
  },
  { ...CLOSED, $id: 'CodeInput' },
);

/** An activation code and the link with it; both are shown once. */
export const CodeView = Type.Object(
  { id: Type.String(), user: Type.String(), code: Type.String(), link: Type.String(), expiresAt: Time() },
  { ...CLOSED, $id: 'Code' },
);
export type CodeView = Static<typeof CodeView>;

/** An enrolled app on a device. */
const InstallationView = Type.Object(
  {
    id: Type.String(),
    user: Type.String(),
    status: Type.String(),
    generation: Type.Integer(),
    app: Type.String(),
    model: Type.String(),
    createdAt: Time(),
    lastSeenAt: OptionalTime(),
    evidence: OptionalText('how strong its newest evidence is; null where there is none that proves anything'),
    evidenceBy: OptionalText('connector that verified it'),
    evidenceAt: OptionalTime('when it was verified, epoch ms'),
  },
  { ...CLOSED, $id: 'Installation' },
);

/** Activation codes. */
export const codes = operations('codes', {
  issue: {
    method: 'POST',
    path: '/v1/codes',
    about: 'Issue an activation code with its link',
    reason: true,
    body: CodeInput,
    answer: CodeView,
    errors: ['ERR_ACCESS_NOT_FOUND', 'ERR_ACCESS_INVALID', 'ERR_SECURITY_NO_SITE'],
  },
});

/** Installations. */
export const installations = operations('installations', {
  list: {
    method: 'GET',
    path: '/v1/installations',
    about: 'Installations in the order of their ids, a page of them',
    cursor: 'id',
    query: CursorQuery,
    answer: Type.Array(InstallationView),
  },
});
