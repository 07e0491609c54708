import Type, { type Static } from 'typebox';
import { Backend } from './grant.ts';

const CLOSED = { additionalProperties: false } as const;
/** Messages between servers may hold more than this version knows. */
const OPEN = {} as const;

/**
 * What is wrong with a backend: its name is not known, its port is closed or no way leads there, it lies in no allowed network,
 * its certificate is not trusted, it speaks another protocol, it takes too long, it closes in the middle, all its connections
 * are taken.
 */
export const BackendReason = Type.Union([
  Type.Literal('name'),
  Type.Literal('port'),
  Type.Literal('network'),
  Type.Literal('certificate'),
  Type.Literal('protocol'),
  Type.Literal('time'),
  Type.Literal('closed'),
  Type.Literal('busy'),
]);
export type BackendReason = Static<typeof BackendReason>;

/** A backend that could not be reached or gave no good answer in the last minute. */
export const BackendTrouble = Type.Object({ resource: Type.String({ maxLength: 128 }), reason: BackendReason }, OPEN);
export type BackendTrouble = Static<typeof BackendTrouble>;

/** Security to a Proxy, on the control connection: try this backend once. */
export const TryBackend = Type.Object(
  { type: Type.Literal('try'), id: Type.Integer(), authority: Type.String({ maxLength: 255 }), backend: Backend },
  OPEN,
);
export type TryBackend = Static<typeof TryBackend>;

/** What the Proxy found; `detail` is for operators, `ms` how long it took. */
export const TriedBackend = Type.Object(
  {
    type: Type.Literal('tried'),
    id: Type.Integer(),
    ok: Type.Boolean(),
    reason: Type.Optional(BackendReason),
    detail: Type.String({ maxLength: 512 }),
    ms: Type.Integer({ minimum: 0 }),
  },
  OPEN,
);
export type TriedBackend = Static<typeof TriedBackend>;

/** What the Proxies of the asked node found when they tried a resource's backend. */
export const ResourceTrial = Type.Object(
  {
    name: Type.String(),
    tries: Type.Array(
      Type.Object(
        {
          proxy: Type.String(),
          ok: Type.Boolean(),
          reason: Type.Optional(BackendReason),
          detail: Type.String(),
          ms: Type.Integer(),
        },
        CLOSED,
      ),
    ),
  },
  { ...CLOSED, $id: 'ResourceTrial' },
);
export type ResourceTrial = Static<typeof ResourceTrial>;
