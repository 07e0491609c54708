import type { DeviceRecord } from '@sallyport/device';
import { type Backend, echoBackend, honestBackend } from './backends.ts';
import { askForward, type Forward } from './forward.ts';
import { Gateway } from './gateway.ts';
import { askUntil, type Seen } from './honest.ts';
import { hostileBackend } from './hostile-backend.ts';
import { Random } from './random.ts';
import { RawChannel } from './raw-channel.ts';
import type { Reached } from './raw-socket.ts';
import { throwBytes, throwMessages } from './strangers.ts';

/** What a run is given. */
export interface FuzzOptions {
  /** How often something is thrown: a record, a request, a message. */
  readonly rounds: number;
  readonly seed: number;
  /** Called now and then with the rounds that are done. */
  readonly progress?: (done: number) => void;
}

/** What a run found. */
export interface FuzzResult {
  readonly problems: readonly string[];
  /** Channels that attackers opened, and what they reached on them. */
  readonly channels: number;
  readonly reached: Reached;
  /** What the honest devices saw. */
  readonly honest: readonly Seen[];
}

const HONEST = ['ada', 'ben', 'cleo'];
/** What attacks at once; each has a random sequence of its own, so that a seed repeats it. */
const ATTACKERS = 12;
/** Requests and messages of strangers that an attacker waits for at once. */
const UNDER_WAY = 4;
const FIRST_CHAN_NO = 1_000_000;
/** Channels that break the rules of frames, and live for a moment only. */
const WILD = 0.3;
const MAX_WRONG = 10;
const CHECK_ROUNDS = 1_000;
/** When nothing has happened for so long, nothing will, ms. */
const STALL_MS = 60_000;

/**
 * Throws raw frames on real channels, raw answers of a backend, and raw requests and messages at the real processes, while
 * honest devices compare every answer with what they asked. A process that ends, a line of a defect in a log and an answer
 * that belongs to somebody else are problems.
 */
export async function fuzz({ rounds, seed, progress }: FuzzOptions): Promise<FuzzResult> {
  const gateway = await Gateway.start();
  const backends = [await honestBackend(), await hostileBackend(new Random(seed ^ 0x5eed)), await echoBackend()];
  const stopped = new AbortController();
  let forward: Forward | undefined;
  try {
    await addResources(gateway, backends);
    const devices = await Promise.all(HONEST.map((user) => gateway.device(user)));
    forward = await gateway.forward('fay');
    const through = askForward(stopped.signal, forward);
    const asking = devices.map(({ device }, i) => askUntil(stopped.signal, HONEST[i]!, device));
    const attackers = await enrolAttackers(gateway);
    const attack = new Attack(gateway, { rounds, progress, forwardPort: forward.port });
    const attacking = Promise.all(
      attackers.map((attacker, i) => attack.run(new Random(seed * ATTACKERS + i), attacker)),
    );
    const moved = await Promise.race([attacking.then(() => true), attack.stalled()]);
    stopped.abort();
    const late = new Promise<Seen[]>((resolve) => setTimeout(() => resolve([]), STALL_MS).unref());
    const honest = await Promise.race([Promise.all(asking), late]);
    for (const { device } of devices) device.close();
    const forwarded = await Promise.race([through, late.then(() => ({ right: 0, wrong: [] }))]);
    const problems = [...gateway.problems(), ...honest.flatMap(({ wrong }) => wrong)];
    problems.push(...forward.problems(), ...forwarded.wrong, ...attack.reached.wrong.slice(0, MAX_WRONG));
    if (forwarded.right === 0) problems.push('nobody was answered through device forward');
    if (!moved) problems.push('nothing moved any more for a minute');
    if (honest.length === 0) problems.push('an honest device waits for its answer');
    return { problems, channels: attack.channels, reached: attack.reached, honest };
  } finally {
    stopped.abort();
    await forward?.stop();
    await gateway.stop();
    for (const backend of backends) backend.close();
  }
}

/** Who attacks, with what their devices keep. */
interface Attacker {
  readonly user: string;
  readonly record: DeviceRecord;
}

function enrolAttackers(gateway: Gateway): Promise<Attacker[]> {
  const users = Array.from({ length: ATTACKERS }, (_, i) => `mallory-${i}`);
  return Promise.all(users.map(async (user) => ({ user, record: (await gateway.device(user)).record })));
}

async function addResources(gateway: Gateway, backends: readonly Backend[]): Promise<void> {
  const [honest, hostile, echo] = backends;
  await gateway.addResource('honest', honest!.url);
  await gateway.addResource('hostile', hostile!.url);
  await gateway.addResource('tcp', echo!.url, 'tcp');
}

/** All attackers of a run. */
class Attack {
  readonly #gateway: Gateway;
  readonly #forwardPort: number;
  readonly #rounds: number;
  readonly #progress: ((done: number) => void) | undefined;
  #done = 0;
  channels = 0;
  readonly reached: Reached = { webSockets: 0, messages: 0, wrong: [] };

  constructor(
    gateway: Gateway,
    {
      rounds,
      progress,
      forwardPort,
    }: Pick<FuzzOptions, 'rounds'> & {
      readonly progress: FuzzOptions['progress'] | undefined;
      readonly forwardPort: number;
    },
  ) {
    this.#gateway = gateway;
    this.#forwardPort = forwardPort;
    this.#rounds = rounds;
    this.#progress = progress;
  }

  /** False once nothing was thrown for too long: a Proxy that hangs takes nobody's channel. */
  async stalled(): Promise<false> {
    for (let before = -1; before !== this.#done; ) {
      before = this.#done;
      await new Promise((resolve) => setTimeout(resolve, STALL_MS).unref());
    }
    return false;
  }

  /** One attacker, until all rounds are done or something broke. */
  async run(random: Random, attacker: Attacker): Promise<void> {
    const underWay = new Set<Promise<void>>();
    const channels = this.#channelsOf(random, attacker);
    while (this.#done < this.#rounds) {
      this.#done += 1;
      if (this.#done % CHECK_ROUNDS === 0 && this.#broken()) break;
      const stranger = this.#strange(random);
      if (!stranger) {
        await (await channels.live())?.throw(random);
        // The other side gets its turn.
        await new Promise((resolve) => setImmediate(resolve));
        continue;
      }
      underWay.add(stranger);
      void stranger.then(() => underWay.delete(stranger));
      if (underWay.size >= UNDER_WAY) await Promise.race(underWay);
    }
    channels.end();
    await Promise.all(underWay);
  }

  #broken(): boolean {
    this.#progress?.(this.#done);
    return this.#gateway.problems().length > 0 || this.reached.wrong.length > 0;
  }

  /** What needs no session, in every fourth round. */
  #strange(random: Random): Promise<void> | undefined {
    const choice = random.below(20);
    if (choice === 0) return throwMessages(random, this.#gateway.origin);
    if (choice < 3) return throwBytes(random, this.#gateway.proxyPort);
    if (choice < 4) return throwBytes(random, this.#gateway.phonePort);
    if (choice < 5) return throwBytes(random, this.#forwardPort);
    return undefined;
  }

  /** The channel of an attacker, a new one when the Proxy has ended the one before. */
  #channelsOf(random: Random, { user, record }: Attacker) {
    const { origin } = this.#gateway;
    const { reached } = this;
    let channel: RawChannel | undefined;
    let chanNo = FIRST_CHAN_NO;
    return {
      live: async (): Promise<RawChannel | undefined> => {
        if (channel && !channel.closed) return channel;
        this.channels += 1;
        const wild = random.chance(WILD);
        channel = await RawChannel.open(origin, record, { user, chanNo: chanNo++, wild, reached });
        return channel;
      },
      end: (): void => channel?.end(),
    };
  }
}
