import type { Socket } from 'node:net';
import { type Diagnosis, type Leg, nameOfLeg, type WaitLimits } from './diagnosis.ts';
import { TooLate, within } from './within.ts';

/** A protocol in which TLS begins after a word of its own, on the port where it is spoken without, too. */
export type TlsBeginning = 'PostgreSQL' | 'LDAP';

interface Word {
  readonly asks: Buffer;
  accepts(answer: Buffer): boolean;
  /** What to do on the server that does not want to. */
  readonly next: string;
}

const WORDS: Readonly<Record<TlsBeginning, Word>> = {
  PostgreSQL: {
    // SSLRequest: its length, and a number that no version has (PostgreSQL, 55.7).
    asks: Buffer.from('0000000804d2162f', 'hex'),
    accepts: (answer) => answer[0] === 0x53,
    next: 'ssl = on in postgresql.conf, with a certificate',
  },
  LDAP: {
    // ExtendedRequest with the name of StartTLS (RFC 4511, section 4.14), as message 1.
    asks: Buffer.concat([Buffer.from('301d02010177188016', 'hex'), Buffer.from('1.3.6.1.4.1.1466.20037')]),
    accepts: (answer) => isSuccess(answer),
    next: 'give the directory a certificate, or name it by ldaps://',
  },
};

/** An ExtendedResponse whose resultCode is success (RFC 4511, section 4.1.9). */
function isSuccess(answer: Buffer): boolean {
  const response = answer.indexOf(0x78);
  const code = answer.indexOf(Buffer.from('0a01', 'hex'), response);
  return response >= 0 && code >= 0 && answer[code + 2] === 0;
}

/** Asks for TLS on a connection that stands; gives what is wrong, or undefined when TLS may begin. */
export async function beginTls(
  socket: Socket,
  { leg, beginning }: { readonly leg: Leg; readonly beginning: TlsBeginning },
  limits: WaitLimits,
): Promise<Diagnosis | undefined> {
  const { asks, accepts, next } = WORDS[beginning];
  const failure = { subject: nameOfLeg(leg), check: 'tls', state: 'failure', hop: leg.to } as const;
  try {
    const answered = firstBytes(socket);
    socket.write(asks);
    if (accepts(await within(limits.answerMs, answered))) return undefined;
    return { ...failure, words: 'the server speaks no TLS', next };
  } catch (error) {
    const words = error instanceof TooLate ? 'it takes the connection and does not answer' : 'it breaks off';
    return { ...failure, words, next: `is it ${beginning}? See its log` };
  }
}

function firstBytes(socket: Socket): Promise<Buffer> {
  return new Promise((done, failed) => {
    socket.once('data', done);
    socket.once('error', failed);
    socket.once('close', () => failed(new Error('closed')));
  });
}
