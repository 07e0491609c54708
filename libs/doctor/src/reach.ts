import { lookup } from 'node:dns/promises';
import { connect, isIP, type Socket } from 'node:net';
import { type Diagnosis, type Leg, nameOfLeg, type WaitLimits } from './diagnosis.ts';
import { TooLate, within } from './within.ts';

/** A connection, or why there is none; and what is known of the name. */
export interface Reached {
  readonly diagnoses: readonly Diagnosis[];
  /** Open, and the caller's to end; absent when the way is blocked. */
  readonly socket?: Socket;
}

/** Addresses that are tried of a name. */
const MAX_ADDRESSES = 4;

/** Resolves the name of a leg and connects; when that fails, says where. */
export async function reach(leg: Leg, limits: WaitLimits): Promise<Reached> {
  const subject = nameOfLeg(leg);
  const { host } = leg;
  const named = await addressesOf(host, limits);
  if (!Array.isArray(named)) return { diagnoses: [{ subject, ...named }] };
  const resolved: Diagnosis[] =
    isIP(host) === 0 ? [{ subject, check: 'dns', state: 'ok', words: `${host} is ${named.join(', ')}` }] : [];
  let trouble: Error | undefined;
  for (const address of named.slice(0, MAX_ADDRESSES)) {
    const socket = await open(address, leg.port, limits).catch((error: Error) => {
      trouble ??= error;
    });
    if (socket) return { diagnoses: [...resolved, { subject, check: 'port', state: 'ok', words: 'connects' }], socket };
  }
  return { diagnoses: [...resolved, await blocked(leg, { address: named[0]!, error: trouble! }, limits)] };
}

type NameTrouble = Omit<Diagnosis, 'subject'>;

async function addressesOf(host: string, { connectMs }: WaitLimits): Promise<string[] | NameTrouble> {
  if (isIP(host) !== 0) return [host];
  try {
    const found = await within(connectMs, lookup(host, { all: true }));
    return found.map(({ address }) => address);
  } catch (error) {
    const silent = error instanceof TooLate || (error as NodeJS.ErrnoException).code === 'EAI_AGAIN';
    return {
      check: 'dns',
      state: 'failure',
      words: silent ? `no name server answers for ${host}` : `nobody knows the name ${host}`,
      hop: silent ? 'the name servers of this host' : 'the name',
      next: silent
        ? 'see /etc/resolv.conf, and open 53/udp and 53/tcp to the name servers in it'
        : `add ${host} to your DNS, or correct the name where it is written`,
    };
  }
}

function open(host: string, port: number, { connectMs }: WaitLimits): Promise<Socket> {
  const socket = connect({ host, port });
  const opened = new Promise<Socket>((done, failed) => {
    socket.once('connect', () => done(socket));
    socket.once('error', failed);
  });
  return within(connectMs, opened).catch((error: unknown) => {
    socket.destroy();
    socket.on('error', () => undefined);
    throw error;
  });
}

/** Ports where hardly anything listens: a host that is up refuses them. */
const QUIET_PORTS = [1, 9, 2];
/** A host that is up refuses at once, ms. */
const REFUSES_WITHIN_MS = 1_000;

interface Blocked {
  readonly address: string;
  readonly error: Error;
}

async function blocked(leg: Leg, { address, error }: Blocked, limits: WaitLimits): Promise<Diagnosis> {
  const { to, port } = leg;
  const failure = { subject: nameOfLeg(leg), check: 'port', state: 'failure' } as const;
  const code = (error as NodeJS.ErrnoException).code ?? '';
  if (code === 'ECONNREFUSED')
    return {
      ...failure,
      words: `${address} is up and refuses port ${port}`,
      hop: `${to}: nothing listens at ${port} there, or a firewall rejects`,
      next: `is ${to} running, and does it listen at this address and not at 127.0.0.1 only? On that host: ss -ltn`,
    };
  if (code === 'EPERM' || code === 'EACCES')
    return {
      ...failure,
      words: `this host itself forbids the way to ${address}:${port}`,
      hop: `${leg.from}: its own firewall`,
      next: `open ${port}/tcp out to ${address} on this host`,
    };
  if (!(error instanceof TooLate) && code !== 'ETIMEDOUT')
    return {
      ...failure,
      words: `there is no way to ${address} (${code || error.message})`,
      hop: 'routing: this host or a router says that it cannot be reached',
      next: `see: ip route get ${address}`,
    };
  const up = await refusesSomething(address, limits);
  return {
    ...failure,
    words: up ? `${address} is up, and port ${port} is silent` : `nothing comes back from ${address}`,
    hop: up
      ? `a firewall drops ${port}/tcp between ${leg.from} and ${to}`
      : `the network between ${leg.from} and ${to}, or ${to} is down`,
    next: up
      ? `open ${port}/tcp from this host to ${address}: at ${to}'s own firewall, and at each one between (docs/ports.md)`
      : `is ${address} up? If it is, open ${port}/tcp from this host to it, at each firewall between`,
  };
}

/** True for a host that answers at all. */
async function refusesSomething(address: string, limits: WaitLimits): Promise<boolean> {
  const connectMs = Math.min(limits.connectMs, REFUSES_WITHIN_MS);
  const answers = QUIET_PORTS.map(async (port) => {
    try {
      (await open(address, port, { ...limits, connectMs })).destroy();
      return true;
    } catch (error) {
      return (error as NodeJS.ErrnoException).code === 'ECONNREFUSED';
    }
  });
  return (await Promise.all(answers)).includes(true);
}
