import 'reflect-metadata';
import { createHash, createPrivateKey, createPublicKey, webcrypto, X509Certificate } from 'node:crypto';
import { existsSync } from 'node:fs';
import { connect, type PeerCertificate } from 'node:tls';
import { cryptoProvider, Pkcs10CertificateRequestGenerator } from '@peculiar/x509';
import { KEY_ALGORITHM, newKeys, privateKeyPem } from '@sallyport/certificates';
import { decodeText, parseBase64Url } from '@sallyport/channel';
import { JoinAnswer, PROXY_PATHS, parseJson, parserOf } from '@sallyport/security-api';
import { readJsonFile, replacePrivateFile } from '@sallyport/settings';
import { Agent, request } from 'undici';
import { SecurityClientError } from './errors.ts';

cryptoProvider.set(webcrypto);

const parseJoinAnswer = parserOf(JoinAnswer);
/** A node that says nothing for so long does not answer, ms: to a connection, and to a question. */
const CONNECT_MS = 5_000;
const ANSWER_MS = 30_000;
const ANSWER_LIMITS = { connectTimeout: CONNECT_MS, headersTimeout: ANSWER_MS, bodyTimeout: ANSWER_MS } as const;

/** Who a Proxy is, with what proves it. Kept in one file of mode 0600. */
export interface ProxyIdentity {
  readonly name: string;
  readonly site: string;
  readonly realm: string;
  /** URLs of Security nodes. */
  readonly urls: readonly string[];
  /** PEM of the internal CA. */
  readonly ca: string;
  readonly certificate: string;
  readonly key: string;
}

/** Reads the identity, undefined before the first join. */
export function loadIdentity(file: string): ProxyIdentity | undefined {
  return existsSync(file) ? (readJsonFile(file) as ProxyIdentity) : undefined;
}

/** Writes the identity durably. */
export function storeIdentity(file: string, identity: ProxyIdentity): void {
  replacePrivateFile(file, JSON.stringify(identity));
}

/** When the certificate ends, epoch ms. */
export function certificateEndsAt(identity: ProxyIdentity): number {
  return Date.parse(new X509Certificate(identity.certificate).validTo);
}

interface JoinToken {
  /** Security nodes, any of which takes the token. */
  readonly urls: readonly string[];
  /** SHA-256 of the CA's certificate, hex. */
  readonly ca: string;
  readonly token: string;
}

function parseJoinToken(text: string): JoinToken {
  try {
    const { urls, ca, token } = JSON.parse(decodeText(parseBase64Url(text.trim()))) as JoinToken;
    if ([...urls, ca, token].every((part) => typeof part === 'string')) return { urls, ca, token };
  } catch {}
  throw new SecurityClientError('ERR_SECURITY_TOKEN', 'this is not a join token: sallyport proxy invite makes one');
}

async function newKey(): Promise<{ csr: string; key: string }> {
  const keys = await newKeys();
  return { csr: await requestFor(keys), key: await privateKeyPem(keys) };
}

async function requestFor(keys: webcrypto.CryptoKeyPair): Promise<string> {
  const signingAlgorithm = KEY_ALGORITHM;
  const csr = await Pkcs10CertificateRequestGenerator.create({ name: 'CN=proxy', keys, signingAlgorithm });
  return csr.toString('pem');
}

/** A key of a Proxy, PEM: it is kept before its Proxy joins. */
export async function newProxyKey(): Promise<string> {
  return (await newKey()).key;
}

async function requestForKey(pem: string): Promise<string> {
  const publicKey = createPublicKey(pem).export({ type: 'spki', format: 'der' });
  const privateKey = createPrivateKey(pem).export({ type: 'pkcs8', format: 'der' });
  return requestFor({
    publicKey: await webcrypto.subtle.importKey('spki', publicKey, KEY_ALGORITHM, true, ['verify']),
    privateKey: await webcrypto.subtle.importKey('pkcs8', privateKey, KEY_ALGORITHM, true, ['sign']),
  });
}

/** What a pod joins with. */
export interface PodJoin {
  /** Security nodes, any of which takes the token. */
  readonly urls: readonly string[];
  /** PEM: the internal CA. */
  readonly ca: string;
  /** Token of its service account. */
  readonly token: string;
  /** PEM: its key, which a pod keeps: Security gives a certificate to one key of each pod. */
  readonly key: string;
}

/**
 * Joins the realm as a pod that its cluster vouches for; the same key may ask again.
 * @throws SecurityClientError ERR_SECURITY_UNREACHABLE or ERR_SECURITY_REFUSED
 */
export async function joinAsPod({ urls, ca, token, key }: PodJoin): Promise<ProxyIdentity> {
  const csr = await requestForKey(key);
  const dispatcher = new Agent({ ...ANSWER_LIMITS, connect: { ca } });
  try {
    const answer = await postAnywhere(urls, { path: PROXY_PATHS.joinPod, body: { token, csr }, dispatcher });
    return identityOf(answer, key, urls);
  } finally {
    await dispatcher.close();
  }
}

/**
 * Joins the realm with a one-time token at the first node that answers: checks the CA against the fingerprint in the token before
 * anything is said. The same token with the same key (PEM) may ask again, because an answer may be lost.
 * @throws SecurityClientError ERR_SECURITY_TOKEN, ERR_SECURITY_UNREACHABLE or ERR_SECURITY_REFUSED
 */
export async function join(tokenText: string, key: string): Promise<ProxyIdentity> {
  const { urls, ca, token } = parseJoinToken(tokenText);
  const csr = await requestForKey(key);
  const answer = await askAnywhere(urls, async (url) => {
    const dispatcher = new Agent({ ...ANSWER_LIMITS, connect: { ca: await fetchPinnedCa(url, ca) } });
    try {
      return await post(`${url}${PROXY_PATHS.join}`, { token, csr }, dispatcher);
    } finally {
      await dispatcher.close();
    }
  });
  return identityOf(answer, key, urls);
}

/** Gets a new certificate for a new key while the old one is still good. */
export async function renew(identity: ProxyIdentity): Promise<ProxyIdentity> {
  const { csr, key } = await newKey();
  const dispatcher = new Agent({
    ...ANSWER_LIMITS,
    connect: { ca: identity.ca, cert: identity.certificate, key: identity.key },
  });
  try {
    const answer = await postAnywhere(identity.urls, { path: PROXY_PATHS.renew, body: { csr }, dispatcher });
    return identityOf(answer, key, identity.urls);
  } finally {
    await dispatcher.close();
  }
}

function identityOf({ nodes, ...answer }: JoinAnswer, key: string, urls: readonly string[]): ProxyIdentity {
  return { ...answer, key, urls: nodes?.length ? nodes : urls };
}

function postAnywhere(
  urls: readonly string[],
  { path, body, dispatcher }: { path: string; body: object; dispatcher: Agent },
): Promise<JoinAnswer> {
  return askAnywhere(urls, (url) => post(`${url}${path}`, body, dispatcher));
}

/** Asks one node after the other; a refusal is an answer. */
async function askAnywhere(urls: readonly string[], ask: (url: string) => Promise<JoinAnswer>): Promise<JoinAnswer> {
  let unreachable: unknown = new SecurityClientError('ERR_SECURITY_TOKEN', 'no Security node is named');
  for (const url of urls) {
    try {
      return await ask(url);
    } catch (error) {
      if ((error as SecurityClientError).code !== 'ERR_SECURITY_UNREACHABLE') throw error;
      unreachable = error;
    }
  }
  throw unreachable;
}

async function post(url: string, body: object, dispatcher: Agent): Promise<JoinAnswer> {
  const headers = { 'content-type': 'application/json' };
  const answer = await request(url, { method: 'POST', headers, body: JSON.stringify(body), dispatcher }).catch(
    (cause: unknown) => {
      throw new SecurityClientError('ERR_SECURITY_UNREACHABLE', `Security does not answer at ${url}`, { cause });
    },
  );
  const parsed = parseJson(
    await answer.body.text().catch((cause: unknown) => {
      throw new SecurityClientError('ERR_SECURITY_UNREACHABLE', `the answer of Security at ${url} broke off`, {
        cause,
      });
    }),
  );
  const joined = answer.statusCode === 200 ? parseJoinAnswer(parsed) : undefined;
  if (joined) return joined;
  const title = (parsed as { title?: string } | undefined)?.title ?? `status ${answer.statusCode}`;
  // Its database is away, or it has too much to do: it has decided nothing.
  if (answer.statusCode >= 500 || answer.statusCode === 429)
    throw new SecurityClientError('ERR_SECURITY_UNREACHABLE', `Security cannot answer at ${url}: ${title}`);
  throw new SecurityClientError('ERR_SECURITY_REFUSED', `Security refused: ${title}`);
}

/** The CA certificate that the server shows in its chain, if its fingerprint is the one expected. */
function fetchPinnedCa(url: string, fingerprint: string): Promise<string> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const socket = connect({ host: hostname, port: Number(port), rejectUnauthorized: false }, () => {
      const found = chainOf(socket.getPeerCertificate(true)).find(
        (raw) => createHash('sha256').update(raw).digest('hex') === fingerprint,
      );
      socket.destroy();
      if (found) resolve(new X509Certificate(found).toString());
      else
        reject(
          new SecurityClientError('ERR_SECURITY_TOKEN', 'the server is not the one that the join token was made by'),
        );
    });
    // A host that is off answers nothing at all, and the next node may be well.
    socket.setTimeout(CONNECT_MS, () => socket.destroy(new Error(`nothing came in ${CONNECT_MS / 1_000} s`)));
    socket.once('error', (cause) => {
      reject(new SecurityClientError('ERR_SECURITY_UNREACHABLE', `Security does not answer at ${url}`, { cause }));
    });
  });
}

function chainOf(certificate: PeerCertificate & { issuerCertificate?: PeerCertificate }): Buffer[] {
  const chain: Buffer[] = [];
  let next: (PeerCertificate & { issuerCertificate?: PeerCertificate }) | undefined = certificate;
  while (next?.raw && !chain.some((raw) => raw.equals(next!.raw))) {
    chain.push(next.raw);
    next = next.issuerCertificate;
  }
  return chain;
}
