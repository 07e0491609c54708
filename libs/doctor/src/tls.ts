import { X509Certificate } from 'node:crypto';
import type { Socket } from 'node:net';
import { isIP } from 'node:net';
import { connect, type DetailedPeerCertificate, type TLSSocket } from 'node:tls';
import { CertificateError, endWords, judgeChain, lifeOf } from '@sallyport/certificates';
import { type Diagnosis, type Leg, nameOfLeg, type WaitLimits } from './diagnosis.ts';
import { reach } from './reach.ts';
import { beginTls, type TlsBeginning } from './tls-beginning.ts';
import { TooLate, within } from './within.ts';

/** What TLS is made with. */
export interface TlsMeans {
  /** PEM of the CAs that are trusted; absent: those of this system. */
  readonly ca?: string;
  /** What this side proves itself with, PEM. */
  readonly certificate?: string;
  readonly key?: string;
  /** The name that the certificate must be for, where that is not the host. */
  readonly name?: string;
  /** The protocol in which TLS begins with a word of its own; absent: with the connection. */
  readonly beginning?: TlsBeginning;
  /** Absent: of a server of ours. */
  readonly remedies?: CertificateRemedies;
}

/** What to do about the certificate of somebody else. */
interface CertificateRemedies {
  /** Where it is renewed. */
  readonly renew: string;
  /** Where the CA is named that is trusted. */
  readonly trust: string;
}

/** TLS that stands, and what was seen on the way. */
export interface Secured {
  readonly diagnoses: readonly Diagnosis[];
  /** Open, and the caller's to end; absent when nobody should speak on it. */
  readonly socket?: TLSSocket;
}

/** Connects, makes TLS and judges the certificate. */
export async function reachTls(leg: Leg, means: TlsMeans, limits: WaitLimits): Promise<Secured> {
  const { diagnoses, socket } = await reach(leg, limits);
  if (!socket) return { diagnoses };
  const unwilling = means.beginning && (await beginTls(socket, { leg, beginning: means.beginning }, limits));
  if (unwilling) {
    socket.destroy();
    return { diagnoses: [...diagnoses, unwilling] };
  }
  const secured = await secure(socket, { leg, means }, limits);
  return { ...secured, diagnoses: [...diagnoses, ...secured.diagnoses] };
}

interface Securing {
  readonly leg: Leg;
  readonly means: TlsMeans;
}

async function secure(socket: Socket, { leg, means }: Securing, limits: WaitLimits): Promise<Secured> {
  const subject = nameOfLeg(leg);
  const name = means.name ?? leg.host;
  const tls = connect({
    socket,
    // Not connected to, but what the certificate must be for where there is no server name: of an address there is none.
    host: name,
    ...(isIP(name) === 0 ? { servername: name } : {}),
    ...(means.ca === undefined ? {} : { ca: means.ca }),
    ...(means.certificate === undefined ? {} : { cert: means.certificate, key: means.key }),
    // What is wrong is said in words; nothing is said over it to whoever is not trusted.
    rejectUnauthorized: false,
  });
  tls.on('error', () => undefined);
  try {
    await within(limits.answerMs, opened(tls));
  } catch (error) {
    tls.destroy();
    return { diagnoses: [await unfinished(leg, error as Error, limits)] };
  }
  const chain = chainOf(tls);
  const trouble = troubleOf(tls, chain, { ...means, name });
  if (trouble) {
    tls.destroy();
    return { diagnoses: [{ subject, check: 'certificate', ...trouble }] };
  }
  return { diagnoses: [{ subject, check: 'certificate', ...lifeWords(chain, means.remedies) }], socket: tls };
}

function opened(tls: TLSSocket): Promise<void> {
  return new Promise((done, failed) => {
    tls.once('secureConnect', () => done());
    tls.once('error', failed);
    tls.once('close', () => failed(Object.assign(new Error('closed'), { code: 'ECONNRESET' })));
  });
}

/** The chain that the server showed, PEM. */
function chainOf(tls: TLSSocket): string {
  const parts: string[] = [];
  let next: DetailedPeerCertificate | undefined = tls.getPeerCertificate(true);
  while (next?.raw) {
    const pem = new X509Certificate(next.raw).toString();
    if (parts.includes(pem)) break;
    parts.push(pem);
    next = next.issuerCertificate;
  }
  return parts.join('\n');
}

type Judged = Omit<Diagnosis, 'subject' | 'check'>;

function troubleOf(
  tls: TLSSocket,
  chain: string,
  { ca, name, remedies }: TlsMeans & { name: string },
): Judged | undefined {
  try {
    judgeChain(chain, { now: Date.now(), use: 'server', names: [name], trusted: ca });
  } catch (error) {
    if (!(error instanceof CertificateError)) throw error;
    return {
      state: 'failure',
      words: error.message,
      hop: 'the certificate of the server',
      next: nextOf(error.why, remedies),
    };
  }
  if (tls.authorized) return undefined;
  const code = String(tls.authorizationError);
  return {
    state: 'failure',
    words: `the certificate is not trusted (${code})`,
    hop: 'the certificate of the server',
    next: nextOf('untrusted', remedies),
  };
}

const RENEW = 'give the server another certificate: sallyport certificate list';
const NAME_CA =
  'is this the right server? Then name the CA that issued it; otherwise somebody is in between, or the name leads elsewhere';
const NEXT: Readonly<Partial<Record<CertificateError['why'], string>>> = {
  over: 'renew it; if it should still be good, see the clock of this host',
  'not yet good': 'see the clock of this host: timedatectl',
  'wrong name': 'come by a name that is in it, or add this one (of Security: SALLYPORT_NAMES)',
  untrusted: NAME_CA,
  'broken chain': 'put the certificates in between into its file, in their order',
};

function nextOf(why: CertificateError['why'], remedies?: CertificateRemedies): string {
  if (remedies && why === 'untrusted') return remedies.trust;
  if (remedies && why === 'over') return `${remedies.renew}; if it should still be good, see the clock of this host`;
  return NEXT[why] ?? remedies?.renew ?? RENEW;
}

function lifeWords(chain: string, remedies?: CertificateRemedies): Judged {
  const life = lifeOf(chain);
  const words = endWords(life, Date.now());
  if (words === undefined)
    return { state: 'ok', words: `is trusted until ${new Date(life.endsAt).toISOString().slice(0, 10)}` };
  return { state: 'warning', words: `the certificate ${words}`, next: remedies?.renew ?? RENEW };
}

/** TLS did not come about: the peer said no, speaks something else, or large packets vanish. */
async function unfinished(leg: Leg, error: Error, limits: WaitLimits): Promise<Diagnosis> {
  const failure = { subject: nameOfLeg(leg), check: 'tls', state: 'failure' } as const;
  const code = (error as NodeJS.ErrnoException).code ?? '';
  if (!(error instanceof TooLate)) return { ...failure, ...refused(leg, code, error) };
  if (!(await answersNonsense(leg, limits)))
    return {
      ...failure,
      words: 'the connection stands, and nothing comes back on it',
      hop: `${leg.to}: it hangs, or a balancer in front of it takes connections for nobody`,
      next: `see the log of ${leg.to}, and restart it when it says nothing`,
    };
  return {
    ...failure,
    check: 'mtu',
    words: 'small packets arrive and large ones vanish: the path has a smaller MTU than it says',
    hop: `a router or tunnel between ${leg.from} and ${leg.to} that sends no "packet too big"`,
    next: 'let ICMP through at each firewall between, or lower the MTU of this host: ip link set <interface> mtu 1280',
  };
}

function refused({ to }: Leg, code: string, error: Error): Omit<Judged, 'state'> {
  if (/WRONG_VERSION_NUMBER|PACKET_LENGTH|HTTP_REQUEST/.test(`${code} ${error.message}`))
    return {
      words: 'it speaks no TLS',
      hop: `${to}: another service, or plain where TLS is expected`,
      next: 'is this the right port?',
    };
  if (/CERTIFICATE_REQUIRED|BAD_CERTIFICATE|UNKNOWN_CA|CERTIFICATE_UNKNOWN/.test(code))
    return {
      words: `${to} does not take our certificate (${code})`,
      hop: 'the certificate of this host',
      next: 'a Proxy: sallyport proxy invite, and join again',
    };
  if (/PROTOCOL_VERSION|UNSUPPORTED_PROTOCOL|NO_SHARED|HANDSHAKE_FAILURE/.test(code))
    return {
      words: `it speaks no TLS that we take (${code})`,
      hop: to,
      next: 'TLS 1.2 with AES-GCM or ChaCha20 at least: docs/security.md',
    };
  return {
    words: `the connection is closed in the middle of the handshake (${code || error.message})`,
    hop: `${to}, or an inspecting firewall in front of it`,
    next: `see the log of ${to}: it says why; when it heard nothing, somebody between closes TLS`,
  };
}

/** True when the peer answers to a few bytes that are no TLS, if only by closing. */
async function answersNonsense(leg: Leg, limits: WaitLimits): Promise<boolean> {
  const { socket } = await reach(leg, limits);
  if (!socket) return false;
  try {
    const answered = new Promise<void>((done) => {
      for (const event of ['data', 'end', 'error', 'close']) socket.once(event, () => done());
    });
    socket.write('nonsense\r\n\r\n');
    await within(limits.answerMs, answered);
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
