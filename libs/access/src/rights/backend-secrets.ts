import { CertificateError, judgeCertificate } from '@sallyport/certificates';
import { decodeText, encodeText, formatBase64Url, parseBase64Url } from '@sallyport/channel';
import type { Backend, ResourceGrant } from '@sallyport/security-api';
import type { AccessContext } from '../realm/context.ts';
import { PURPOSES } from '../sealing/keyring.ts';
import { AccessError } from '../store/errors.ts';
import type { ResourceRow, SecretName, StoredBackend } from './rows.ts';

type Secrets = Readonly<Partial<Record<SecretName, string>>>;

/** A backend, and the authority of its resource, which it is told where it has no Host of its own. */
interface Named {
  readonly authority: string;
  readonly backend: Backend;
}
type Before = Pick<ResourceRow, 'authority' | 'backend'>;

const NAMES: readonly SecretName[] = ['password', 'clientKey'];

/** A backend for everybody who may look: without secrets. */
export function shownBackend(backend: StoredBackend): Backend {
  const { wrapped: _, ...shown } = backend;
  return shown;
}

/** A backend with its secrets. @throws AccessError ERR_ACCESS_UNWRAP */
export function openedBackend(
  access: AccessContext,
  { name, backend }: Pick<ResourceRow, 'name' | 'backend'>,
): Backend {
  const { wrapped = {}, ...shown } = backend;
  const { password, clientKey } = openAll(access, name, wrapped);
  return withSecrets(shown, { password, clientKey });
}

function withSecrets(
  { basic, clientCertificate, ...plain }: Backend,
  { password, clientKey }: { readonly [Name in SecretName]: string | undefined },
): Backend {
  return {
    ...plain,
    ...(basic ? { basic: { user: basic.user, ...(password === undefined ? {} : { password }) } } : {}),
    ...(clientCertificate
      ? {
          clientCertificate: {
            certificate: clientCertificate.certificate,
            ...(clientKey === undefined ? {} : { key: clientKey }),
          },
        }
      : {}),
  };
}

/**
 * A backend as it is to be stored. A secret that is not given is the one of before, as long as it goes where it went: who names
 * other servers has to have it.
 * @throws AccessError ERR_ACCESS_INVALID when a secret is missing, would go elsewhere, or does not fit its certificate
 */
export function storedBackend(
  access: AccessContext,
  {
    name,
    authority,
    backend,
    before,
    at,
  }: Named & { readonly name: string; readonly before: Before | undefined; readonly at: number },
): StoredBackend {
  const envelopes = before?.backend.wrapped ?? {};
  const kept = keptSecrets(access, name, envelopes);
  const secrets: { [Name in SecretName]?: string } = {};
  const { basic, clientCertificate } = backend;
  if (basic)
    secrets.password = basic.password ?? keptPassword(name, { authority, backend, before, password: kept.password });
  if (clientCertificate) {
    const same = before?.backend.clientCertificate?.certificate === clientCertificate.certificate;
    secrets.clientKey = clientKeyOf(name, clientCertificate, { kept: kept.clientKey, same, at });
  }
  const wrapped: { [Name in SecretName]?: string } = {};
  for (const which of NAMES) {
    const secret = secrets[which];
    if (secret === undefined) continue;
    const same = kept[which] === secret ? envelopes[which] : undefined;
    wrapped[which] = same ?? wrap(access, { name, which }, secret);
  }
  const shown = withSecrets(backend, { password: undefined, clientKey: undefined });
  return Object.keys(wrapped).length === 0 ? shown : { ...shown, wrapped };
}

/** What does not open any more can be given anew. */
function keptSecrets(access: AccessContext, name: string, wrapped: Secrets): Secrets {
  try {
    return openAll(access, name, wrapped);
  } catch (error) {
    if (error instanceof AccessError) return {};
    throw error;
  }
}

function keptPassword(
  name: string,
  of: Named & { readonly before: Before | undefined; readonly password: string | undefined },
): string {
  const { authority, backend, before, password } = of;
  if (before === undefined || password === undefined)
    throw new AccessError('ERR_ACCESS_INVALID', `the password with which ${name} knows the gateway is missing`);
  const old = { authority: before.authority, backend: before.backend };
  if (old.backend.basic?.user !== backend.basic?.user || destinationOf(old) !== destinationOf({ authority, backend }))
    throw new AccessError(
      'ERR_ACCESS_INVALID',
      `the password of ${name} was given for another user, other servers or another host: give it again with the new ones`,
    );
  return password;
}

/** Where a password is sent: its servers, by whom they are known, and the host that they are asked for, which may be one of many there. */
function destinationOf({ authority, backend }: Named): string {
  const { url, servers = [], ca = '', host = authority } = backend;
  return JSON.stringify([[url, ...servers.map((server) => server.url)].sort(), ca, host]);
}

function clientKeyOf(
  name: string,
  { certificate, key }: NonNullable<Backend['clientCertificate']>,
  { kept, same, at }: { readonly kept: string | undefined; readonly same: boolean; readonly at: number },
): string {
  const used = key ?? kept;
  if (used === undefined)
    throw new AccessError('ERR_ACCESS_INVALID', `the key of the client certificate of ${name} is missing`);
  // One that has ended since keeps nobody from changing something else.
  if (same && key === undefined) return used;
  try {
    judgeCertificate({ certificate, key: used }, { now: at, use: 'client' });
  } catch (error) {
    if (!(error instanceof CertificateError)) throw error;
    const remedy = key === undefined && error.why === 'wrong key' ? ': give the new key, too' : '';
    throw new AccessError('ERR_ACCESS_INVALID', `the client certificate of ${name}: ${error.message}${remedy}`);
  }
  return used;
}

function wrap(
  access: AccessContext,
  { name, which }: { readonly name: string; readonly which: SecretName },
  secret: string,
): string {
  const purpose = PURPOSES.resource(access.store.realm, name, which);
  return formatBase64Url(access.keyring.wrap(encodeText(secret), purpose));
}

function openAll(access: AccessContext, name: string, wrapped: Secrets): Secrets {
  const opened: { [Name in SecretName]?: string } = {};
  for (const which of NAMES) {
    const envelope = wrapped[which];
    if (envelope === undefined) continue;
    const purpose = PURPOSES.resource(access.store.realm, name, which);
    opened[which] = decodeText(access.keyring.unwrap(parseBase64Url(envelope), purpose));
  }
  return opened;
}

/** The same backend with its secrets wrapped anew by `renew`. */
export function rewrappedBackend(
  backend: StoredBackend,
  renew: (envelope: Uint8Array, which: SecretName) => Uint8Array,
): StoredBackend {
  const { wrapped, ...shown } = backend;
  if (!wrapped) return backend;
  const renewed = Object.entries(wrapped).map(([which, envelope]) => [
    which,
    formatBase64Url(renew(parseBase64Url(envelope), which as SecretName)),
  ]);
  return { ...shown, wrapped: Object.fromEntries(renewed) };
}

/** What is looked through for the resource that holds a name. */
type ResourceSet = { readonly resources: readonly ResourceRow[] };

/** Rows with secrets, by the set that they stand in: most realms have few. */
const holders = new WeakMap<ResourceSet, ReadonlyMap<string, ResourceRow>>();

function holdersIn(set: ResourceSet): ReadonlyMap<string, ResourceRow> {
  const known = holders.get(set);
  if (known) return known;
  const found = new Map(set.resources.filter(({ backend }) => backend.wrapped).map((row) => [row.name, row]));
  holders.set(set, found);
  return found;
}

/**
 * Puts the secrets of backends into the resources of a grant, for the Proxy that serves them. A resource whose secrets do not
 * open is left out: without them its backend would see requests of nobody.
 */
export function withBackendSecrets(
  access: AccessContext,
  set: ResourceSet,
  resources: readonly ResourceGrant[],
): ResourceGrant[] {
  const found = holdersIn(set);
  if (found.size === 0) return [...resources];
  return resources.flatMap((resource) => {
    const row = found.get(resource.name);
    if (!row) return [resource];
    const backend = openedOrNothing(access, row);
    return backend ? [{ ...resource, backend }] : [];
  });
}

function openedOrNothing(access: AccessContext, row: ResourceRow): Backend | undefined {
  try {
    const { delegate: _, ...backend } = openedBackend(access, row);
    return backend;
  } catch (error) {
    if (error instanceof AccessError) return undefined;
    throw error;
  }
}
