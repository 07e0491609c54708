import Type, { type Static } from 'typebox';
import { CLOSED, OptionalText, Time } from '../fields.ts';
import { Text } from '../text.ts';
import { operations } from './operation.ts';
import { SubjectQuery } from './paging.ts';
import { Done } from './params.ts';

/** What a certificate, or a key that signs, is for. */
const Purpose = Type.Union(
  [
    Type.Literal('CA'),
    Type.Literal('listener'),
    Type.Literal('public listener'),
    Type.Literal('Proxy'),
    Type.Literal('backend client'),
    Type.Literal('trusted CA'),
    Type.Literal('signing'),
  ],
  {
    description:
      'our CA; TLS of a listener of ours, or of the one for devices; who a Proxy is; who the gateway is to a backend; a CA of others that we trust; what signs site maps or assertions',
  },
);

/** Who puts the next one in its place. */
const RenewedBy = Type.Union([Type.Literal('itself'), Type.Literal('files'), Type.Literal('operator')], {
  description: 'Sallyport by itself, whoever writes the files, or an operator by a command',
});

/** A certificate, or a key that signs. */
export const CertificateView = Type.Object(
  {
    id: Type.String({
      description: 'what it is known by, from its place: node/n1/admin, proxy/p1/public, backend/wiki',
    }),
    purpose: Purpose,
    use: Type.String({ description: 'where it is used, in words' }),
    names: Type.Array(Type.String(), { description: 'names and addresses that it is for' }),
    subject: Type.String(),
    issuer: Type.String(),
    fingerprint: Type.String({ description: 'SHA-256 of the certificate, or thumbprint of the key (RFC 7638)' }),
    beginsAt: Time(),
    endsAt: Time(),
    daysLeft: Type.Integer({ description: 'whole days; below 0 when it is over' }),
    warnsAt: Time('from when on the status names it'),
    renewedBy: RenewedBy,
    trouble: OptionalText('why a newer one is not in use, in words'),
  },
  { ...CLOSED, $id: 'Certificate' },
);
export type CertificateView = Static<typeof CertificateView>;

/** A certificate with its chain. */
const CertificateChain = Type.Object(
  {
    ...CertificateView.properties,
    chain: Type.String({ description: 'PEM, never a key; empty for a key that signs' }),
  },
  { ...CLOSED, $id: 'CertificateChain' },
);

const CertificateParam = Type.Object({ id: Text({ minLength: 1, maxLength: 200 }) });

/** What somebody has: a certificate with its chain, and its key. */
const CertificateInput = Type.Object(
  {
    certificate: Type.String({ minLength: 1, maxLength: 65_536, description: 'PEM, with its chain' }),
    key: Type.Optional(
      Type.String({ minLength: 1, maxLength: 16_384, description: 'PEM; absent: the one of before stays' }),
    ),
  },
  { ...CLOSED, $id: 'CertificateInput' },
);

/** Field of every answer of the admin API: which CAs count, as SHA-256 of `authorities`. Who has others reads them again. */
export const AUTHORITIES_FIELD = 'sallyport-authorities';

/** Keys of the realm that are replaced by a command. */
const LastingParam = Type.Object({
  purpose: Type.Union([Type.Literal('ca'), Type.Literal('root'), Type.Literal('assertion')], {
    description: 'ca, root or assertion',
  }),
});

/** A key of the realm that is being replaced, or was. */
export const KeyChangeView = Type.Object(
  {
    begun: Type.Boolean({ description: 'false when it was under way' }),
    keys: Type.Array(
      Type.Object(
        {
          id: Type.String(),
          state: Type.Union([Type.Literal('coming'), Type.Literal('in use'), Type.Literal('trusted')], {
            description: 'every node learns it, it issues or signs, or it only counts until what it issued is over',
          }),
          createdAt: Time(),
          usedAt: Type.Union([Time(), Type.Null()], {
            description: 'since when it is used; null before, and for the first one',
          }),
        },
        CLOSED,
      ),
    ),
    waitingFor: Type.Array(Type.String(), { description: 'nodes that do not have the next one yet' }),
    usesAt: Type.Union([Time(), Type.Null()], {
      description: 'before when the next one is not used, because backends read keys now and then only',
    }),
    retiresAt: Type.Union([Time(), Type.Null()], { description: 'when the old one is retired' }),
  },
  { ...CLOSED, $id: 'KeyChange' },
);
export type KeyChangeView = Static<typeof KeyChangeView>;

/** Certificates, and keys that sign. */
export const certificates = operations('certificates', {
  list: {
    method: 'GET',
    path: '/v1/certificates',
    about: 'All certificates of the realm by what they are for, a page',
    cursor: 'id',
    query: SubjectQuery,
    answer: Type.Array(CertificateView),
  },
  get: {
    method: 'GET',
    path: '/v1/certificates/:id',
    about: 'A certificate with its chain',
    params: CertificateParam,
    answer: CertificateChain,
    errors: ['ERR_ACCESS_NOT_FOUND'],
  },
  put: {
    method: 'PUT',
    path: '/v1/certificates/:id',
    about: 'Give the gateway a certificate for a backend, or the next one: backend/NAME of a resource',
    reason: true,
    params: CertificateParam,
    body: CertificateInput,
    answer: CertificateView,
    errors: ['ERR_ACCESS_NOT_FOUND', 'ERR_ACCESS_INVALID', 'ERR_ACCESS_CONFLICT'],
  },
  renew: {
    method: 'POST',
    path: '/v1/certificates/:id/renew',
    about:
      'Renew a certificate of our own CA now: one of a listener of the node that is asked, or of a Proxy that is connected to it',
    reason: true,
    params: CertificateParam,
    answer: Done,
    errors: ['ERR_ACCESS_NOT_FOUND', 'ERR_ACCESS_CONFLICT'],
  },
  authorities: {
    method: 'GET',
    path: '/v1/certificate-authorities',
    about: 'Our CAs that count, PEM, the one in use first: what an operator trusts this API by',
    answer: Type.Object({ authorities: Type.String() }, CLOSED),
  },
  rotate: {
    method: 'POST',
    path: '/v1/key-changes/:purpose',
    about:
      'Replace the CA, the key of site maps or that of assertions while everything runs; both are trusted for a time',
    reason: true,
    params: LastingParam,
    answer: KeyChangeView,
    errors: ['ERR_ACCESS_CONFLICT'],
  },
  change: {
    method: 'GET',
    path: '/v1/key-changes/:purpose',
    about: 'How far such a replacement is',
    params: LastingParam,
    answer: KeyChangeView,
  },
  remove: {
    method: 'DELETE',
    path: '/v1/certificates/:id',
    about: 'Take away the certificate by which a backend knows the gateway: backend/NAME of a resource',
    reason: true,
    params: CertificateParam,
    answer: Done,
    errors: ['ERR_ACCESS_NOT_FOUND', 'ERR_ACCESS_CONFLICT'],
  },
});
