import type { Socket } from 'node:net';
import { type Diagnosis, type Leg, nameOfLeg, type WaitLimits } from './diagnosis.ts';
import { reach } from './reach.ts';
import { reachTls } from './tls.ts';
import { within } from './within.ts';

/** Redis as Security uses it. */
export interface RedisWay {
  readonly from: string;
  readonly mode: 'single' | 'sentinel' | 'cluster';
  readonly servers: readonly { readonly host: string; readonly port: number }[];
  /** Name of the primary at the Sentinels. */
  readonly name?: string;
  readonly tls: boolean;
  readonly password?: string;
  /** PEM of the CA of the servers. */
  readonly ca?: string;
}

/** Tries each server that is named, and the primary that Sentinels name. */
export async function examineRedis(way: RedisWay, limits: WaitLimits): Promise<Diagnosis[]> {
  const all: Diagnosis[] = [];
  let primary: string | undefined;
  for (const server of way.servers) {
    const leg: Leg = { from: way.from, to: 'Redis', ...server };
    const order = way.mode === 'sentinel' ? ['SENTINEL', 'get-master-addr-by-name', way.name ?? ''] : ['ROLE'];
    const { diagnoses, reply } = await command(way, { leg, order }, limits);
    all.push(...diagnoses);
    if (reply === undefined) continue;
    if (way.mode !== 'sentinel') all.push(...judgeRole(leg, reply, way.mode));
    else primary ??= primaryIn(reply);
  }
  if (way.mode !== 'sentinel' || all.every(({ state }) => state === 'failure')) return all;
  if (primary === undefined) return [...all, unknownPrimary(way)];
  const [host = '', port] = primary.split(' ');
  const leg: Leg = { from: way.from, to: 'Redis', host, port: Number(port) };
  const { diagnoses, reply } = await command(way, { leg, order: ['ROLE'] }, limits);
  return [...all, ...diagnoses, ...(reply === undefined ? [] : judgeRole(leg, reply, 'single'))];
}

function unknownPrimary({ from, name }: RedisWay): Diagnosis {
  const words = `no Sentinel knows a primary that is called ${name}`;
  const next = 'the name behind the last slash of SALLYPORT_REDIS is that of "sentinel monitor"';
  return { subject: `${from} → Redis`, check: 'primary', state: 'failure', words, hop: 'Redis: its Sentinels', next };
}

/** Both lines of an array with host and port (RESP 2). */
function primaryIn(reply: string): string | undefined {
  const [, host, port] = /^\*2\r\n\$\d+\r\n(.+)\r\n\$\d+\r\n(\d+)\r\n/.exec(reply) ?? [];
  return host === undefined ? undefined : `${host} ${port}`;
}

function judgeRole(leg: Leg, reply: string, mode: RedisWay['mode']): Diagnosis[] {
  const subject = nameOfLeg(leg);
  const isPrimary = /\bmaster\b/.test(reply);
  if (isPrimary || mode === 'cluster') return [{ subject, check: 'role', state: 'ok', words: 'takes writes' }];
  const next = 'name its primary, or the Sentinels: rediss+sentinel://';
  return [
    { subject, check: 'role', state: 'failure', words: 'it is a replica, which takes no writes', hop: 'Redis', next },
  ];
}

interface Replied {
  readonly diagnoses: readonly Diagnosis[];
  /** Absent when there is none, or a refusal, which is among the diagnoses. */
  readonly reply?: string;
}

const REMEDIES = {
  renew: 'renew it on the Redis host, then restart Redis',
  trust: 'SALLYPORT_REDIS_CA names the file with the CA that issued it',
};

interface RedisCommand {
  readonly leg: Leg;
  readonly order: readonly string[];
}

async function command(way: RedisWay, { leg, order }: RedisCommand, limits: WaitLimits): Promise<Replied> {
  const means = { ...(way.ca === undefined ? {} : { ca: way.ca }), remedies: REMEDIES };
  const { diagnoses, socket } = way.tls ? await reachTls(leg, means, limits) : await reach(leg, limits);
  if (!socket) return { diagnoses };
  const subject = nameOfLeg(leg);
  try {
    const heard = repliesOf(socket);
    const say = async (words: readonly string[]): Promise<string> => {
      socket.write(encodeCommand(words));
      return within(limits.answerMs, heard());
    };
    const login = way.password === undefined ? '' : await say(['AUTH', way.password]);
    const unwelcome = refusalIn(subject, login);
    if (unwelcome?.state === 'failure') return { diagnoses: [...diagnoses, unwelcome] };
    const reply = await say(order);
    const refused = refusalIn(subject, reply);
    const found = [...diagnoses, ...(unwelcome ? [unwelcome] : []), ...(refused ? [refused] : [])];
    return refused ? { diagnoses: found } : { diagnoses: found, reply };
  } catch {
    const silent = {
      subject,
      check: 'session',
      state: 'failure',
      words: 'it takes the connection and does not answer',
    } as const;
    return {
      diagnoses: [
        ...diagnoses,
        { ...silent, hop: 'Redis', next: 'is it Redis, and with TLS (rediss://)? See its log' },
      ],
    };
  } finally {
    socket.destroy();
  }
}

/** A command in RESP. */
function encodeCommand(words: readonly string[]): string {
  return `*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('')}`;
}

/** Gives the next reply; short ones, which come in one piece. */
function repliesOf(socket: Socket): () => Promise<string> {
  const waiting: ((reply: string) => void)[] = [];
  const come: string[] = [];
  socket.setEncoding('utf8');
  socket.on('data', (text: string) => {
    const next = waiting.shift();
    if (next) next(text);
    else come.push(text);
  });
  socket.on('error', () => undefined);
  return () =>
    new Promise((done) => {
      const there = come.shift();
      if (there === undefined) waiting.push(done);
      else done(there);
    });
}

function refusalIn(subject: string, reply: string): Diagnosis | undefined {
  if (!reply.startsWith('-')) return undefined;
  const failure = { subject, check: 'password', state: 'failure', hop: 'Redis' } as const;
  const [code = ''] = reply.slice(1).split(/\s/, 1);
  if (code === 'WRONGPASS' || /invalid password/.test(reply))
    return { ...failure, words: 'the password is wrong', next: 'SALLYPORT_REDIS_PASSWORD is what "requirepass" says' };
  if (code === 'NOAUTH') return { ...failure, words: 'it wants a password', next: 'SALLYPORT_REDIS_PASSWORD=…' };
  if (/without any password configured/.test(reply))
    return {
      ...failure,
      state: 'warning',
      words: 'it asks for no password: whoever reaches it reads and writes',
      next: 'requirepass in redis.conf',
    };
  return { ...failure, check: 'session', words: `it refuses (${code})`, next: 'see the log of Redis' };
}
